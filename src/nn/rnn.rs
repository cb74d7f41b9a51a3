//! Recurrent layers and cells, with PyTorch's names: `weight_ih_l0`, `bias_hh_l1_reverse`.

use crate::error::Result;
use crate::nn::layer::parameter;
use crate::nn::{Hooks, Mode, Module, Visitor};
use crate::ops::create::Options;
use crate::ops::rnn::RnnOptions;
use crate::tensor::Tensor;

/// The shapes of the weights of all layers and directions in the order that the functions take them, and their names.
fn weights(gates: usize, input: usize, hidden: usize, o: &RnnOptions) -> Vec<(String, Vec<usize>)> {
    let directions: &[&str] = if o.bidirectional { &["", "_reverse"] } else { &[""] };
    let mut all = Vec::new();
    for layer in 0..o.num_layers {
        let input = if layer == 0 { input } else { hidden * directions.len() };
        for direction in directions {
            let mut add =
                |name: &str, shape: &[usize]| all.push((format!("{name}_l{layer}{direction}"), shape.to_vec()));
            add("weight_ih", &[gates * hidden, input]);
            add("weight_hh", &[gates * hidden, hidden]);
            if o.bias {
                add("bias_ih", &[gates * hidden]);
                add("bias_hh", &[gates * hidden]);
            }
        }
    }
    all
}

#[track_caller]
fn begin(shape: &[usize], hidden: usize, place: &Options) -> Tensor {
    let bound = 1.0 / (hidden as f64).sqrt();
    parameter(Tensor::uniform(-bound, bound, shape, place.clone()))
}

/// Visits weights that have names of their own.
fn visit(names: &[String], weights: &[Tensor], visitor: &mut Visitor) {
    names.iter().zip(weights).for_each(|(name, w)| visitor.member(name, w));
}

macro_rules! recurrent {
    ($($(#[$doc:meta])* $name:ident $cell:ident $gates:literal;)*) => { $(
        $(#[$doc])*
        pub struct $name {
            /// The weights of layer after layer and in it of direction after direction: `[gates hidden, in]`, `[gates hidden,
            /// hidden]`, and both biases if there are any. All begin uniform within `±1/√hidden`.
            pub weights: Vec<Tensor>,
            names: Vec<String>,
            hidden: usize,
            /// How many layers there are, and how they are stacked.
            pub options: RnnOptions,
            /// Whether dropout between layers drops.
            pub training: Mode,
            /// What runs before and after.
            pub hooks: Hooks,
        }

        impl $name {
            /// Layers from `input` features to a state of `hidden`.
            #[track_caller]
            pub fn new(input: usize, hidden: usize, options: RnnOptions, place: impl Into<Options>) -> $name {
                let place = place.into();
                let (names, shapes): (Vec<_>, Vec<_>) = weights($gates, input, hidden, &options).into_iter().unzip();
                let weights = shapes.iter().map(|shape| begin(shape, hidden, &place)).collect();
                $name { weights, names, hidden, options, training: Mode::default(), hooks: Hooks::default() }
            }

            fn options(&self) -> RnnOptions {
                RnnOptions { training: self.training.is_training(), ..self.options }
            }

            /// A state of zeros for an input.
            #[track_caller]
            fn zeros(&self, x: &Tensor) -> Tensor {
                let runs = self.options.num_layers * if self.options.bidirectional { 2 } else { 1 };
                if x.rank() < 3 {
                    return x.new_zeros([runs, self.hidden]);
                }
                x.new_zeros([runs, x.size(if self.options.batch_first { 0 } else { 1 }), self.hidden])
            }
        }

        impl Module for $name {
            fn visit(&self, visitor: &mut Visitor) {
                visit(&self.names, &self.weights, visitor);
                visitor.member("training", &self.training);
                visitor.member("hooks", &self.hooks);
            }

            fn map(&mut self, f: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<()> {
                self.weights.map(f)
            }
        }

        #[doc = concat!("One step of [`", stringify!($name), "`]; weights begin as there.")]
        ///
        /// ```
        #[doc = concat!("use wgrad::nn::{", stringify!($cell), ", Module};")]
        #[doc = concat!("let cell = ", stringify!($cell), "::new(2, 3, &wgrad::Device::cpu());")]
        /// assert_eq!(cell.parameters().len(), 4);
        /// ```
        ///
        #[doc = concat!("Source: [torch.nn](https://docs.pytorch.org/docs/stable/nn.html#recurrent-layers).")]
        pub struct $cell {
            /// `[gates hidden, in]`
            pub weight_ih: Tensor,
            /// `[gates hidden, hidden]`
            pub weight_hh: Tensor,
            /// `[gates hidden]`
            pub bias_ih: Option<Tensor>,
            /// `[gates hidden]`
            pub bias_hh: Option<Tensor>,
            /// What runs before and after.
            pub hooks: Hooks,
        }
        crate::module!($cell { weight_ih, weight_hh, bias_ih, bias_hh, hooks });

        impl $cell {
            /// A cell from `input` features to a state of `hidden`.
            #[track_caller]
            pub fn new(input: usize, hidden: usize, place: impl Into<Options>) -> $cell {
                let place = place.into();
                $cell {
                    weight_ih: begin(&[$gates * hidden, input], hidden, &place),
                    weight_hh: begin(&[$gates * hidden, hidden], hidden, &place),
                    bias_ih: Some(begin(&[$gates * hidden], hidden, &place)),
                    bias_hh: Some(begin(&[$gates * hidden], hidden, &place)),
                    hooks: Hooks::default(),
                }
            }

            fn bias(&self) -> Option<(&Tensor, &Tensor)> {
                self.bias_ih.as_ref().zip(self.bias_hh.as_ref())
            }

            #[track_caller]
            fn zeros(&self, x: &Tensor) -> Tensor {
                x.new_zeros([&x.shape()[..x.rank() - 1], &self.weight_hh.shape()[1..]].concat())
            }
        }
    )* };
}

recurrent! {
    /// [`Tensor::rnn_tanh`] with its weights.
    ///
    /// ```
    /// use wgrad::nn::Rnn;
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let (y, h) = Rnn::new(2, 3, Default::default(), &dev).forward(&Tensor::ones([5, 1, 2], &dev), None);
    /// assert_eq!((y.shape(), h.shape()), (&[5, 1, 3][..], &[1, 1, 3][..]));
    /// ```
    ///
    /// Source: [torch.nn.RNN](https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html).
    Rnn RnnCell 1;
    /// [`Tensor::lstm`] with its weights.
    ///
    /// ```
    /// use wgrad::nn::Lstm;
    /// use wgrad::{Device, RnnOptions, Tensor};
    /// let dev = Device::cpu();
    /// let options = RnnOptions { num_layers: 2, bidirectional: true, ..Default::default() };
    /// let (y, (h, c)) = Lstm::new(2, 3, options, &dev).forward(&Tensor::ones([5, 1, 2], &dev), None);
    /// assert_eq!((y.shape(), h.shape(), c.shape()), (&[5, 1, 6][..], &[4, 1, 3][..], &[4, 1, 3][..]));
    /// ```
    ///
    /// Source: [torch.nn.LSTM](https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html).
    Lstm LstmCell 4;
    /// [`Tensor::gru`] with its weights.
    ///
    /// ```
    /// use wgrad::nn::Gru;
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let (y, h) = Gru::new(2, 3, Default::default(), &dev).forward(&Tensor::ones([5, 1, 2], &dev), None);
    /// assert_eq!((y.shape(), h.shape()), (&[5, 1, 3][..], &[1, 1, 3][..]));
    /// ```
    ///
    /// Source: [torch.nn.GRU](https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html).
    Gru GruCell 3;
}

macro_rules! single_state {
    ($($name:ident $f:ident $cell:ident $step:ident;)*) => { $(
        impl $name {
            /// The results of all steps and the last states, from a state or from zeros.
            #[track_caller]
            pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> (Tensor, Tensor) {
                let h = h.cloned().unwrap_or_else(|| self.zeros(x));
                let call = self.hooks.enter(&[x, &h]);
                let (y, h) = call.inputs[0].$f(&call.inputs[1], &self.weights, self.options());
                let mut outputs = call.leave_all(vec![y, h]).into_iter();
                (outputs.next().expect("there is a result"), outputs.next().expect("there is a state"))
            }
        }

        impl $cell {
            /// The next state, from a state or from zeros.
            #[track_caller]
            pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> Tensor {
                let h = h.cloned().unwrap_or_else(|| self.zeros(x));
                let call = self.hooks.enter(&[x, &h]);
                let y = call.inputs[0].$step(&call.inputs[1], &self.weight_ih, &self.weight_hh, self.bias());
                call.leave(y)
            }
        }
    )* };
}

single_state! {
    Rnn rnn_tanh RnnCell rnn_tanh_cell;
    Gru gru GruCell gru_cell;
}

impl Lstm {
    /// The results of all steps and the last states `h` and `c`, from states or from zeros.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, states: Option<(&Tensor, &Tensor)>) -> (Tensor, (Tensor, Tensor)) {
        let zeros = self.zeros(x);
        let (h, c) = states.unwrap_or((&zeros, &zeros));
        let call = self.hooks.enter(&[x, h, c]);
        let [x, h, c] = &call.inputs[..] else { unreachable!("there are three inputs") };
        let (y, (h, c)) = x.lstm((h, c), &self.weights, self.options());
        let mut outputs = call.leave_all(vec![y, h, c]).into_iter();
        let mut next = || outputs.next().expect("there are a result and two states");
        (next(), (next(), next()))
    }
}

impl LstmCell {
    /// The next states `h` and `c`, from states or from zeros.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, states: Option<(&Tensor, &Tensor)>) -> (Tensor, Tensor) {
        let zeros = self.zeros(x);
        let (h, c) = states.unwrap_or((&zeros, &zeros));
        let call = self.hooks.enter(&[x, h, c]);
        let [x, h, c] = &call.inputs[..] else { unreachable!("there are three inputs") };
        let (h, c) = x.lstm_cell((h, c), &self.weight_ih, &self.weight_hh, self.bias());
        let mut outputs = call.leave_all(vec![h, c]).into_iter();
        let mut next = || outputs.next().expect("there are two states");
        (next(), next())
    }
}
