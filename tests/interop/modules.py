"""What PyTorch's modules and optimizers compute, for tests/suite/torch_modules.rs: `python tests/interop/modules.py`.

`python tests/interop/modules.py FOLDER` loads the weights that this test left in FOLDER (WGRAD_INTEROP=FOLDER) into the same
modules, by names alone, and compares what they compute.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

torch.manual_seed(0)
out = {}
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None


def load(name, net, masks):
    """Loads what wgrad saved, and compares the result of its inputs."""
    file = load_file(folder / f"module_{name}.safetensors")
    state = {key.removeprefix("state/"): x for key, x in file.items() if key.startswith("state/")}
    net.load_state_dict(state, strict=True)
    inputs = [file[f"x{i}"] for i in range(3) if f"x{i}" in file]
    y = net(*inputs, **masks)
    while isinstance(y, tuple):
        y = y[0]
    far = (y - file["y"]).abs().max().item()
    assert y.shape == file["y"].shape and far < 2e-6 * max(1, y.abs().max().item()), (name, far)
    out[name] = far


def module(name, net, *inputs, masks=None, train=True):
    """The state before, inputs, result, gradients of everything for a fixed gradient, and the state after."""
    net.train(train)
    if folder:
        return load(name, net, masks or {})
    for key, value in net.state_dict().items():
        out[f"{name}/state/{key}"] = value.clone()
    inputs = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    y = net(*inputs, **(masks or {}))
    while isinstance(y, tuple):
        y = y[0]
    g = torch.randn_like(y)
    y.backward(g)
    out[f"{name}/y"], out[f"{name}/g"] = y.detach(), g
    for i, x in enumerate(inputs):
        out[f"{name}/x{i}"] = x.detach()
        if x.grad is not None:
            out[f"{name}/grad/x{i}"] = x.grad
    for key, p in net.named_parameters():
        out[f"{name}/grad/{key}"] = torch.zeros_like(p) if p.grad is None else p.grad
    for key, value in net.named_buffers():
        out[f"{name}/after/{key}"] = value.clone()


def shaken(net):
    """Norms begin with ones and zeros, which would hide mistakes."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return net


x = torch.randn
module("linear", nn.Linear(3, 4), x(2, 5, 3))
module("bilinear", nn.Bilinear(3, 2, 4), x(5, 3), x(5, 2))
module("conv1d", nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), x(2, 4, 9))
module("conv2d", nn.Conv2d(2, 3, (2, 3), padding=(1, 0)), x(2, 2, 5, 6))
module("conv3d", nn.Conv3d(1, 2, 2), x(1, 1, 3, 4, 3))
module("conv_transpose1d", nn.ConvTranspose1d(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2), x(2, 4, 5))
module("conv_transpose2d", nn.ConvTranspose2d(2, 3, 2, stride=2), x(1, 2, 3, 3))
module("embedding", nn.Embedding(6, 3, padding_idx=2), torch.tensor([[0, 2], [5, 0]]))
module("layer_norm", shaken(nn.LayerNorm([3, 4])), x(2, 3, 4))
module("rms_norm", shaken(nn.RMSNorm(4, eps=1e-6)), x(2, 3, 4))
module("group_norm", shaken(nn.GroupNorm(2, 4)), x(2, 4, 3))
module("batch_norm1d", shaken(nn.BatchNorm1d(3)), x(4, 3, 2))
module("batch_norm2d", shaken(nn.BatchNorm2d(3)), x(4, 3, 2, 2))
evaluated = shaken(nn.BatchNorm2d(3))
evaluated.running_mean.normal_()
evaluated.running_var.uniform_(0.5, 2)
module("batch_norm2d_eval", evaluated, x(4, 3, 2, 2), train=False)
module("instance_norm2d", shaken(nn.InstanceNorm2d(3, affine=True)), x(2, 3, 3, 2))
module("prelu", nn.PReLU(3), x(2, 3, 4))
module("rnn", nn.RNN(3, 4, num_layers=2), x(5, 2, 3))
module("lstm", nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True), x(2, 5, 3))
module("gru", nn.GRU(3, 4), x(5, 2, 3))
module("lstm_cell", nn.LSTMCell(3, 4), x(2, 3))
module("gru_cell", nn.GRUCell(3, 4), x(2, 3))
mask = torch.tensor([[False, True, False], [False, False, True]])
attention = shaken(nn.MultiheadAttention(4, 2, batch_first=True))
module("attention", attention, x(2, 5, 4), x(2, 3, 4), x(2, 3, 4), masks={"key_padding_mask": mask})
size = dict(d_model=4, nhead=2, dim_feedforward=6, dropout=0.0, batch_first=True)
causal = {"mask": nn.Transformer.generate_square_subsequent_mask(3), "is_causal": True}
module("encoder", nn.TransformerEncoder(shaken(nn.TransformerEncoderLayer(**size)), 2), x(2, 3, 4), masks=causal)
module("encoder_first", shaken(nn.TransformerEncoderLayer(**size, norm_first=True, activation="gelu")), x(2, 3, 4))
module("decoder", shaken(nn.TransformerDecoderLayer(**size)), x(2, 3, 4), x(2, 5, 4))

module("attention_dims", shaken(nn.MultiheadAttention(4, 2, kdim=3, vdim=5)), x(2, 3, 4), x(5, 3, 3), x(5, 3, 5))
module("lstm_projected", nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2), x(5, 2, 3))
module("rnn_relu", nn.RNN(3, 4, nonlinearity="relu"), x(5, 2, 3))
module("rnn_cell_relu", nn.RNNCell(3, 4, nonlinearity="relu"), x(2, 3))
for mode in ["reflect", "replicate", "circular"]:
    module(f"conv1d_{mode}", nn.Conv1d(2, 3, 4, stride=2, padding=3, padding_mode=mode), x(2, 2, 6))
    module(f"conv2d_{mode}", nn.Conv2d(2, 2, (2, 3), padding="same", dilation=(2, 1), padding_mode=mode), x(2, 2, 4, 3))
# Multiples of 1/8, whose products any order of adding sums up exactly.
narrow = nn.Linear(24, 8)
with torch.no_grad():
    for p in narrow.parameters():
        p.copy_((8 * x(p.shape)).round() / 8)
module("linear_bf16", narrow.bfloat16(), ((8 * x(16, 24)).round() / 8).bfloat16())
averaged = shaken(nn.BatchNorm1d(3, momentum=None))
averaged(x(4, 3, 2))
averaged(x(5, 3))
module("batch_norm1d_averaged", averaged, x(4, 3, 2))
if folder:
    print(len(out), "modules compute the same with wgrad's weights, within", f"{max(out.values()):.1e}")
    sys.exit()


def optimizer(name, make, steps=8):
    """The values of two parameters after every step down a bent valley."""
    p = [torch.linspace(-1, 2, 6, dtype=torch.float64).reshape(2, 3), torch.linspace(0.5, 1.5, 4, dtype=torch.float64)]
    p = [q.clone().requires_grad_() for q in p]
    run = make(p)
    scale = torch.linspace(0.2, 2, 6, dtype=torch.float64).reshape(2, 3)

    def loss():
        run.zero_grad()
        y = (scale * (p[0] - 0.3) ** 2).sum() + (p[1].sin() * p[1]).sum() + (p[0].sum() * p[1].mean()) ** 2 * 0.1
        y.backward()
        return y

    for i in range(steps):
        run.step(loss)
        for k, q in enumerate(p):
            out[f"optim/{name}/{i}/{k}"] = q.detach().clone()


o = torch.optim
optimizer("rprop", lambda p: o.Rprop(p, lr=0.05))
optimizer("asgd", lambda p: o.ASGD(p, lr=0.05, lambd=0.01, alpha=0.6, t0=2, weight_decay=0.1))
optimizer("adafactor", lambda p: o.Adafactor(p, lr=0.1, weight_decay=0.05))
optimizer("lbfgs", lambda p: o.LBFGS(p, lr=0.2, max_iter=4, history_size=3))
optimizer("lbfgs_wolfe", lambda p: o.LBFGS(p, max_iter=5, line_search_fn="strong_wolfe"), steps=3)
optimizer("sgd_dampened", lambda p: o.SGD(p, lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.1))
optimizer("nadam", lambda p: o.NAdam(p, lr=0.05, decoupled_weight_decay=True, weight_decay=0.1))
optimizer("radam", lambda p: o.RAdam(p, lr=0.05, weight_decay=0.1))
optimizer("adamax", lambda p: o.Adamax(p, lr=0.05, weight_decay=0.1))
optimizer("adadelta", lambda p: o.Adadelta(p, lr=0.5, weight_decay=0.1))
optimizer("adagrad", lambda p: o.Adagrad(p, lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.2))
optimizer("rmsprop", lambda p: o.RMSprop(p, lr=0.02, momentum=0.5, centered=True, weight_decay=0.1))
optimizer("amsgrad", lambda p: o.AdamW(p, lr=0.05, amsgrad=True, weight_decay=0.2))


class Plain:
    """An optimizer as its paper writes it: `rule` changes `p` by its gradient, its state and the number of the step."""

    def __init__(self, params, rule):
        self.params, self.rule, self.states, self.t = params, rule, [{} for _ in params], 0

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    def step(self, closure):
        closure()
        self.t += 1
        with torch.no_grad():
            for p, state in zip(self.params, self.states):
                self.rule(p, p.grad, state, self.t)


def lion(p, g, state, t, lr=0.03, b1=0.9, b2=0.99, decay=0.1):
    m = state.get("m", torch.zeros_like(p))
    p -= lr * (torch.sign(b1 * m + (1 - b1) * g) + decay * p)
    state["m"] = b2 * m + (1 - b2) * g


def lamb(p, g, state, t, lr=0.03, b1=0.9, b2=0.999, eps=1e-6, decay=0.1):
    state["m"] = b1 * state.get("m", torch.zeros_like(p)) + (1 - b1) * g
    state["v"] = b2 * state.get("v", torch.zeros_like(p)) + (1 - b2) * g**2
    r = state["m"] / (1 - b1**t) / ((state["v"] / (1 - b2**t)).sqrt() + eps)
    p -= lr * p.norm() / (r + decay * p).norm() * (r + decay * p)


class WithSgd:
    """Muon takes matrices alone."""

    def __init__(self, p, **options):
        self.parts = [o.Muon([p[0]], lr=0.03, weight_decay=0.1, **options), o.SGD([p[1]], lr=0.03)]

    def zero_grad(self):
        for part in self.parts:
            part.zero_grad()

    def step(self, closure):
        closure()
        for part in self.parts:
            part.step()


optimizer("lion", lambda p: Plain(p, lion))
optimizer("lamb", lambda p: Plain(p, lamb))
optimizer("muon", WithSgd)


def newton_schulz(g, coefficients, steps, eps):
    """PyTorch's, which runs in bfloat16, in the precision of the parameter."""
    a, b, c = coefficients
    x = g / g.norm().clamp(min=eps)
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x


torch.optim._muon._zeropower_via_newtonschulz = newton_schulz
optimizer("muon_double", lambda p: WithSgd(p))
optimizer("muon_plain", lambda p: WithSgd(p, nesterov=False, momentum=0.8, ns_steps=3))

path = Path(__file__).parent.parent / "data" / "files" / "modules.safetensors"
save_file({key: value.contiguous() for key, value in out.items()}, path)
print(len(out), "tensors,", path.stat().st_size, "bytes")
