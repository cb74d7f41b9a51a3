//! Recurrent layers and cells, with PyTorch's names: `weight_ih_l0`, `bias_hh_l1_reverse`.

use crate::error::{Result, misuse};
use crate::nn::layer::parameter;
use crate::nn::{Hooks, Mode, Module, Visitor};
use crate::ops::create::Options;
use crate::ops::rnn::RnnOptions;
use crate::tensor::Tensor;

/// What makes the next state of [`Rnn`] and [`RnnCell`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RnnNonlinearity {
    /// [`Tensor::rnn_tanh`].
    #[default]
    Tanh,
    /// [`Tensor::rnn_relu`].
    ReLU,
}

/// The shapes of the weights of all layers and directions in the order that the functions take them, and their names. A state
/// is as large as `hidden`, unless it is projected.
fn weights(gates: usize, input: usize, [hidden, state]: [usize; 2], o: &RnnOptions) -> Vec<(String, Vec<usize>)> {
    let directions: &[&str] = if o.bidirectional { &["", "_reverse"] } else { &[""] };
    let mut all = Vec::new();
    for layer in 0..o.num_layers {
        let input = if layer == 0 { input } else { state * directions.len() };
        for direction in directions {
            let mut add =
                |name: &str, shape: &[usize]| all.push((format!("{name}_l{layer}{direction}"), shape.to_vec()));
            add("weight_ih", &[gates * hidden, input]);
            add("weight_hh", &[gates * hidden, state]);
            if o.bias {
                add("bias_ih", &[gates * hidden]);
                add("bias_hh", &[gates * hidden]);
            }
            if state != hidden {
                add("weight_hr", &[state, hidden]);
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
    ($($(#[$doc:meta])* $name:ident $cell:ident $gates:literal $({ $option:ident: $type:ty })?;)*) => { $(
        $(#[$doc])*
        pub struct $name {
            /// The weights of layer after layer and in it of direction after direction: `[gates hidden, in]`, `[gates hidden,
            /// hidden]`, both biases if there are any, and what projects the state if anything does. All begin uniform within
            /// `±1/√hidden`.
            pub weights: Vec<Tensor>,
            names: Vec<String>,
            $(
                /// What makes the next state.
                pub $option: $type,
            )?
            /// How many layers there are, and how they are stacked.
            pub options: RnnOptions,
            /// Whether dropout between layers drops.
            pub training: Mode,
            /// What runs before and after.
            pub hooks: Hooks,
        }

        impl $name {
            /// Layers from `input` features to a state of `hidden`.
            ///
            /// # Panics
            /// If there are no layers.
            #[track_caller]
            pub fn new(input: usize, hidden: usize, options: RnnOptions, place: impl Into<Options>) -> $name {
                $name::with_state(input, [hidden, hidden], options, place.into())
            }

            #[track_caller]
            fn with_state(input: usize, sizes: [usize; 2], options: RnnOptions, place: Options) -> $name {
                if options.num_layers == 0 {
                    misuse(stringify!($name), "num_layers is 0");
                }
                let (names, shapes): (Vec<_>, Vec<_>) = weights($gates, input, sizes, &options).into_iter().unzip();
                $name {
                    weights: shapes.iter().map(|shape| begin(shape, sizes[0], &place)).collect(),
                    names,
                    $($option: Default::default(),)?
                    options,
                    training: Mode::default(),
                    hooks: Hooks::default(),
                }
            }

            fn options(&self) -> RnnOptions {
                RnnOptions { training: self.training.is_training(), ..self.options }
            }

            /// A state of zeros for an input, as large as the second weight takes it.
            #[track_caller]
            fn zeros(&self, x: &Tensor) -> Tensor {
                self.zeros_of(x, self.weights[1].size(1))
            }

            #[track_caller]
            fn zeros_of(&self, x: &Tensor, size: usize) -> Tensor {
                let runs = self.options.num_layers * if self.options.bidirectional { 2 } else { 1 };
                if x.rank() < 3 {
                    return x.new_zeros([runs, size]);
                }
                x.new_zeros([runs, x.size(if self.options.batch_first { 0 } else { 1 }), size])
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
            $(
                /// What makes the next state.
                pub $option: $type,
            )?
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
                    $($option: Default::default(),)?
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
    /// [`Tensor::rnn_tanh`], or [`Tensor::rnn_relu`], with its weights.
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
    Rnn RnnCell 1 { nonlinearity: RnnNonlinearity };
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
    ($($name:ident $cell:ident |$s:ident| $f:expr, $step:expr;)*) => { $(
        impl $name {
            /// The results of all steps and the last states, from a state or from zeros.
            #[track_caller]
            pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> (Tensor, Tensor) {
                let h = h.cloned().unwrap_or_else(|| self.zeros(x));
                let call = self.hooks.enter(&[x, &h]);
                let $s = self;
                let (y, h) = $f(&call.inputs[0], &call.inputs[1], &self.weights, self.options());
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
                let $s = self;
                let y = $step(&call.inputs[0], &call.inputs[1], &self.weight_ih, &self.weight_hh, self.bias());
                call.leave(y)
            }
        }
    )* };
}

single_state! {
    Rnn RnnCell |s|
        match s.nonlinearity { RnnNonlinearity::Tanh => Tensor::rnn_tanh, RnnNonlinearity::ReLU => Tensor::rnn_relu },
        match s.nonlinearity { RnnNonlinearity::Tanh => Tensor::rnn_tanh_cell, RnnNonlinearity::ReLU => Tensor::rnn_relu_cell };
    Gru GruCell |_s| Tensor::gru, Tensor::gru_cell;
}

impl Lstm {
    /// Layers from `input` features to a cell state of `hidden`, whose states `h` are projected to `proj_size`.
    ///
    /// ```
    /// use wgrad::nn::Lstm;
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let lstm = Lstm::with_projection(2, 5, 3, Default::default(), &dev);
    /// let (y, (h, c)) = lstm.forward(&Tensor::ones([4, 1, 2], &dev), None);
    /// assert_eq!((y.shape(), h.shape(), c.shape()), (&[4, 1, 3][..], &[1, 1, 3][..], &[1, 1, 5][..]));
    /// ```
    ///
    /// # Panics
    /// If there are no layers, or `proj_size` is 0 or not smaller than `hidden`.
    #[track_caller]
    pub fn with_projection(
        input: usize,
        hidden: usize,
        proj_size: usize,
        options: RnnOptions,
        place: impl Into<Options>,
    ) -> Lstm {
        if !(1..hidden).contains(&proj_size) {
            misuse("Lstm", format!("proj_size {proj_size} does not lie between 0 and {hidden}"));
        }
        Lstm::with_state(input, [hidden, proj_size], options, place.into())
    }

    /// The results of all steps and the last states `h` and `c`, from states or from zeros.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, states: Option<(&Tensor, &Tensor)>) -> (Tensor, (Tensor, Tensor)) {
        let zeros = (self.zeros(x), self.zeros_of(x, self.weights[0].size(0) / 4));
        let (h, c) = states.unwrap_or((&zeros.0, &zeros.1));
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
