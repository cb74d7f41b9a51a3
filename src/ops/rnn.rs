//! Recurrent layers: a cell, and the cell applied along a sequence.
//!
//! All four kinds share the walk over layers, directions and steps; they differ in [`Kind::step`] alone. What an input
//! adds to the gates does not depend on the state, so it is one product for the whole sequence.

use crate::error::misuse;
use crate::tensor::Tensor;
use crate::tensor::autocast::cast_here;

/// How many layers a recurrent network has, and how they are stacked.
#[derive(Clone, Copy, Debug)]
pub struct RnnOptions {
    /// Whether each layer has two biases among its weights.
    pub bias: bool,
    /// The number of layers; each reads the sequence of the one before.
    pub num_layers: usize,
    /// The probability with which elements between layers are dropped in training.
    pub dropout: f64,
    /// Whether dropout is active.
    pub training: bool,
    /// Whether each layer also walks the sequence from its end, with weights of its own.
    pub bidirectional: bool,
    /// Whether sequences are `[batch, time, size]` instead of `[time, batch, size]`.
    pub batch_first: bool,
}

impl Default for RnnOptions {
    fn default() -> RnnOptions {
        RnnOptions {
            bias: true,
            num_layers: 1,
            dropout: 0.0,
            training: false,
            bidirectional: false,
            batch_first: false,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Tanh,
    Relu,
    Lstm,
    Gru,
}

/// The weights of one layer in one direction.
#[derive(Clone, Copy)]
struct Weights<'a> {
    ih: &'a Tensor,
    hh: &'a Tensor,
    bias: Option<(&'a Tensor, &'a Tensor)>,
    /// What makes a smaller state of an LSTM's result.
    hr: Option<&'a Tensor>,
}

impl Kind {
    /// How many numbers of each state element the two products give.
    fn gates(self) -> usize {
        match self {
            Kind::Tanh | Kind::Relu => 1,
            Kind::Gru => 3,
            Kind::Lstm => 4,
        }
    }

    /// What the input adds to the gates, with both biases where they only meet in a sum.
    #[track_caller]
    fn project(self, x: &Tensor, w: Weights) -> Tensor {
        let bias = w.bias.map(|(a, b)| if self == Kind::Gru { a.clone() } else { a + b });
        x.linear(w.ih, bias.as_ref())
    }

    /// The state after one step, and the cell state of an LSTM. `x` is what the input adds to the gates.
    #[track_caller]
    fn step(self, x: &Tensor, h: &Tensor, c: Option<&Tensor>, w: Weights) -> (Tensor, Option<Tensor>) {
        let r = h.linear(w.hh, w.bias.filter(|_| self == Kind::Gru).map(|(_, b)| b));
        let n = c.unwrap_or(h).size(-1);
        match self {
            Kind::Tanh => ((x + r).tanh(), None),
            Kind::Relu => ((x + r).relu(), None),
            Kind::Lstm => {
                let gates = (x + r).split([n; 4], -1);
                let [i, f, g, o] = &gates[..] else { unreachable!("there are four gates") };
                let c = f.sigmoid() * c.expect("an LSTM has a cell state") + i.sigmoid() * g.tanh();
                let h = o.sigmoid() * c.tanh();
                (if let Some(hr) = w.hr { h.linear(hr, None) } else { h }, Some(c))
            }
            Kind::Gru => {
                let (x, r) = (x.split([n; 3], -1), r.split([n; 3], -1));
                let reset = (&x[0] + &r[0]).sigmoid();
                let update = (&x[1] + &r[1]).sigmoid();
                let new = (&x[2] + reset * &r[2]).tanh();
                (&new + update * (h - &new), None)
            }
        }
    }
}

impl Weights<'_> {
    /// Whether the weights fit an input and a state of these sizes; `hidden` is the state's size without a projection.
    fn fit(&self, gates: usize, input: usize, state: usize, hidden: usize) -> bool {
        let rows = gates * hidden;
        *self.ih.shape() == [rows, input]
            && *self.hh.shape() == [rows, state]
            && self.bias.is_none_or(|(a, b)| *a.shape() == [rows] && *b.shape() == [rows])
            && self.hr.map_or(state == hidden, |hr| *hr.shape() == [state, hidden])
    }

    fn shapes(&self) -> String {
        let bias = self.bias.map(|(a, b)| format!(", {:?} and {:?}", a.shape(), b.shape())).unwrap_or_default();
        format!("{:?} and {:?}{bias}", self.ih.shape(), self.hh.shape())
    }
}

impl Tensor {
    /// `h' = tanh(x wᵢᵀ + bᵢ + h wₕᵀ + bₕ)` for an input `[n, size]` and a state `[n, hidden]`, or both without `n`;
    /// weights `[hidden, size]` and `[hidden, hidden]`, biases `[hidden]` twice or none.
    ///
    /// # Panics
    /// If the shapes do not fit or the operands are not of one float type.
    #[track_caller]
    pub fn rnn_tanh_cell(&self, h: &Tensor, w_ih: &Tensor, w_hh: &Tensor, bias: Option<(&Tensor, &Tensor)>) -> Tensor {
        self.cell("rnn_tanh_cell", Kind::Tanh, h, None, Weights { ih: w_ih, hh: w_hh, bias, hr: None }).0
    }

    /// `h' = max(x wᵢᵀ + bᵢ + h wₕᵀ + bₕ, 0)`; otherwise as [`Tensor::rnn_tanh_cell`].
    ///
    /// # Panics
    /// As [`Tensor::rnn_tanh_cell`].
    #[track_caller]
    pub fn rnn_relu_cell(&self, h: &Tensor, w_ih: &Tensor, w_hh: &Tensor, bias: Option<(&Tensor, &Tensor)>) -> Tensor {
        self.cell("rnn_relu_cell", Kind::Relu, h, None, Weights { ih: w_ih, hh: w_hh, bias, hr: None }).0
    }

    /// One step of a gated recurrent unit: `h' = (1 - z) n + z h` with `r, z = σ(x wᵢᵀ + bᵢ + h wₕᵀ + bₕ)` and
    /// `n = tanh(x wᵢᵀ + bᵢ + r (h wₕᵀ + bₕ))`. Weights have `3 hidden` rows, in the order r, z, n; otherwise as
    /// [`Tensor::rnn_tanh_cell`].
    ///
    /// # Panics
    /// As [`Tensor::rnn_tanh_cell`].
    #[track_caller]
    pub fn gru_cell(&self, h: &Tensor, w_ih: &Tensor, w_hh: &Tensor, bias: Option<(&Tensor, &Tensor)>) -> Tensor {
        self.cell("gru_cell", Kind::Gru, h, None, Weights { ih: w_ih, hh: w_hh, bias, hr: None }).0
    }

    /// One step of a long short-term memory: `c' = f c + i g` and `h' = o tanh c'` with `i, f, o` the `σ`, and `g` the
    /// `tanh`, of `x wᵢᵀ + bᵢ + h wₕᵀ + bₕ`. Weights have `4 hidden` rows, in the order i, f, g, o; otherwise as
    /// [`Tensor::rnn_tanh_cell`].
    ///
    /// # Panics
    /// As [`Tensor::rnn_tanh_cell`].
    ///
    /// Source: [torch.nn.LSTMCell](https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html).
    #[track_caller]
    pub fn lstm_cell(
        &self,
        (h, c): (&Tensor, &Tensor),
        w_ih: &Tensor,
        w_hh: &Tensor,
        bias: Option<(&Tensor, &Tensor)>,
    ) -> (Tensor, Tensor) {
        let (h, c) = self.cell("lstm_cell", Kind::Lstm, h, Some(c), Weights { ih: w_ih, hh: w_hh, bias, hr: None });
        (h, c.expect("an LSTM has a cell state"))
    }

    #[track_caller]
    fn cell(&self, op: &str, kind: Kind, h: &Tensor, c: Option<&Tensor>, w: Weights) -> (Tensor, Option<Tensor>) {
        self.expect_float(op);
        let (x, h, c) = &cast_here(|| (self.factor(), h.factor(), c.map(Tensor::factor)));
        let c = c.as_ref();
        let rank = self.rank();
        let fits = matches!(rank, 1 | 2)
            && h.rank() == rank
            && h.shape()[..rank - 1] == self.shape()[..rank - 1]
            && c.is_none_or(|c| c.shape() == h.shape())
            && w.fit(kind.gates(), self.size(-1), h.size(-1), h.size(-1));
        if !fits {
            misuse(
                op,
                format!("shapes do not fit: input {:?}, state {:?}, weights {}", self.shape(), h.shape(), w.shapes()),
            );
        }
        kind.step(&kind.project(x, w), h, c, w)
    }

    /// [`Tensor::rnn_tanh_cell`] along a sequence; see [`Tensor::lstm`]. Gives the states of all steps and the last ones.
    ///
    /// # Panics
    /// As [`Tensor::lstm`].
    #[track_caller]
    pub fn rnn_tanh(&self, h: &Tensor, weights: &[Tensor], options: RnnOptions) -> (Tensor, Tensor) {
        let (y, h, _) = self.recur("rnn_tanh", Kind::Tanh, h, None, weights, options);
        (y, h)
    }

    /// [`Tensor::rnn_relu_cell`] along a sequence; see [`Tensor::lstm`]. Gives the states of all steps and the last ones.
    ///
    /// # Panics
    /// As [`Tensor::lstm`].
    #[track_caller]
    pub fn rnn_relu(&self, h: &Tensor, weights: &[Tensor], options: RnnOptions) -> (Tensor, Tensor) {
        let (y, h, _) = self.recur("rnn_relu", Kind::Relu, h, None, weights, options);
        (y, h)
    }

    /// [`Tensor::gru_cell`] along a sequence; see [`Tensor::lstm`]. Gives the states of all steps and the last ones.
    ///
    /// # Panics
    /// As [`Tensor::lstm`].
    ///
    /// Source: [torch.nn.GRU](https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html).
    #[track_caller]
    pub fn gru(&self, h: &Tensor, weights: &[Tensor], options: RnnOptions) -> (Tensor, Tensor) {
        let (y, h, _) = self.recur("gru", Kind::Gru, h, None, weights, options);
        (y, h)
    }

    /// [`Tensor::lstm_cell`] along a sequence `[time, batch, size]`, or `[time, size]`. Gives the states of all steps
    /// `[time, batch, directions · hidden]`, and the last state and cell state of every layer and direction,
    /// `[layers · directions, batch, hidden]` as the first ones are given.
    ///
    /// Weights are those of PyTorch's module in its order: for each layer, for each direction (forwards first), the input's
    /// `[4 hidden, size]`, the state's `[4 hidden, hidden]` and, if there are any, the two biases `[4 hidden]`. A state
    /// smaller than the cell state is projected: then the state's weight is `[4 hidden, state]`, and a last weight
    /// `[state, hidden]` follows.
    ///
    /// ```
    /// use wgrad::{Device, RnnOptions, Tensor};
    /// let dev = Device::cpu();
    /// let (x, h) = (Tensor::randn([5, 2, 3], &dev), Tensor::zeros([1, 2, 4], &dev));
    /// let weights = [[16, 3], [16, 4]].map(|shape| Tensor::randn(shape, &dev));
    /// let options = RnnOptions { bias: false, ..Default::default() };
    /// let (y, (last, _)) = x.lstm((&h, &h), &weights, options);
    /// assert_eq!(y.shape(), [5, 2, 4]);
    /// assert_eq!(y.select(0, -1).to_vec::<f32>()?, last.to_vec::<f32>()?);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the shapes or the number of weights do not fit, there are no layers or no steps, or the operands are not of one
    /// float type.
    ///
    /// Source: [torch.nn.LSTM](https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html).
    #[track_caller]
    pub fn lstm(
        &self,
        (h, c): (&Tensor, &Tensor),
        weights: &[Tensor],
        options: RnnOptions,
    ) -> (Tensor, (Tensor, Tensor)) {
        let (y, h, c) = self.recur("lstm", Kind::Lstm, h, Some(c), weights, options);
        (y, (h, c.expect("an LSTM has a cell state")))
    }

    /// All layers of one kind.
    #[track_caller]
    fn recur(
        &self,
        op: &str,
        kind: Kind,
        h: &Tensor,
        c: Option<&Tensor>,
        weights: &[Tensor],
        options: RnnOptions,
    ) -> (Tensor, Tensor, Option<Tensor>) {
        self.expect_float(op);
        let batched = self.rank() == 3;
        let like = |c: &Tensor| c.rank() == h.rank() && c.shape()[..c.rank() - 1] == h.shape()[..h.rank() - 1];
        if !matches!(self.rank(), 2 | 3) || h.rank() != self.rank() || !c.is_none_or(like) {
            misuse(op, format!("an input {:?} and a state {:?} do not fit", self.shape(), h.shape()));
        }
        // Without a batch there is one of size 1.
        let batch = |x: &Tensor| if batched { x.clone() } else { x.unsqueeze(1) };
        let unbatch = |x: Tensor| if batched { x } else { x.squeeze(1) };
        let turned = batched && options.batch_first;
        // All that is read in every step is cast once.
        let weights: Vec<Tensor> = cast_here(|| weights.iter().map(Tensor::factor).collect());
        let x = self.factor();
        let mut x = if turned { x.transpose(0, 1) } else { batch(&x) };
        let (h, c) = cast_here(|| (batch(&h.factor()), c.map(|c| batch(&c.factor()))));
        let directions = if options.bidirectional { 2 } else { 1 };
        let hidden = c.as_ref().unwrap_or(&h).size(-1);
        let projects = hidden != h.size(-1);
        let each = if options.bias { 4 } else { 2 } + projects as usize;
        let runs = options.num_layers * directions;
        if runs == 0 || weights.len() != runs * each || h.size(0) != runs || h.size(1) != x.size(1) || x.size(0) == 0 {
            misuse(
                op,
                format!(
                    "{} weights, an input {:?} and a state {:?} do not make {} layers of {directions} directions",
                    weights.len(),
                    self.shape(),
                    h.shape(),
                    options.num_layers
                ),
            );
        }
        let (mut last_h, mut last_c) = (Vec::new(), Vec::new());
        for layer in 0..options.num_layers {
            if layer > 0 {
                x = x.dropout(options.dropout, options.training);
            }
            let mut both = Vec::new();
            for direction in 0..directions {
                let run = layer * directions + direction;
                let w = &weights[run * each..(run + 1) * each];
                let w = Weights {
                    ih: &w[0],
                    hh: &w[1],
                    bias: options.bias.then(|| (&w[2], &w[3])),
                    hr: projects.then(|| &w[each - 1]),
                };
                if !w.fit(kind.gates(), x.size(-1), h.size(-1), hidden) {
                    misuse(
                        op,
                        format!(
                            "the weights {} of layer {layer} do not fit an input of {} and a state of {}",
                            w.shapes(),
                            x.size(-1),
                            h.size(-1)
                        ),
                    );
                }
                let run = run as isize;
                let mut state = h.select(0, run);
                let mut cell = c.as_ref().map(|c| c.select(0, run));
                let projected = kind.project(&x, w).unbind(0);
                let steps = x.size(0);
                let mut states = vec![state.clone(); steps];
                for i in 0..steps {
                    let t = if direction == 0 { i } else { steps - 1 - i };
                    (state, cell) = kind.step(&projected[t], &state, cell.as_ref(), w);
                    states[t] = state.clone();
                }
                both.push(Tensor::stack(&states, 0));
                last_h.push(state);
                last_c.extend(cell);
            }
            x = if directions == 1 { both.remove(0) } else { Tensor::cat(&both, -1) };
        }
        let y = if turned { x.transpose(0, 1) } else { unbatch(x) };
        let last = |states: &[Tensor]| unbatch(Tensor::stack(states, 0));
        (y, last(&last_h), if last_c.is_empty() { None } else { Some(last(&last_c)) })
    }
}
