"""States of PyTorch's optimizers, for tests/suite/torch_states.rs: `python tests/interop/optimizers.py` writes them.

`python tests/interop/optimizers.py FOLDER` goes on from the states that this test left in FOLDER (WGRAD_INTEROP=FOLDER).
"""

import copy
import sys
from pathlib import Path

import torch
from torch import optim as o

CASES = {
    "sgd": lambda p: o.SGD(p, lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.1),
    "adam": lambda p: o.Adam(p, lr=0.05, weight_decay=0.1, foreach=False),
    "adam_double": lambda p: o.Adam(p, lr=0.05),
    "adamw": lambda p: o.AdamW(p, lr=0.05, amsgrad=True, fused=True),
    "rmsprop": lambda p: o.RMSprop(p, lr=0.02, momentum=0.5, centered=True),
    "adagrad": lambda p: o.Adagrad(p, lr=0.1, lr_decay=0.1),
    "adadelta": lambda p: o.Adadelta(p, lr=0.5),
    "adamax": lambda p: o.Adamax(p, lr=0.05),
    "nadam": lambda p: o.NAdam(p, lr=0.05, decoupled_weight_decay=True, weight_decay=0.1),
    "radam": lambda p: o.RAdam(p, lr=0.05, maximize=True),
    "rprop": lambda p: o.Rprop(p, lr=0.05),
    "asgd": lambda p: o.ASGD(p, lr=0.05, lambd=0.01, t0=2),
    "adafactor": lambda p: o.Adafactor(p, lr=0.1),
    "muon": lambda p: o.Muon(p[:1], lr=0.03),
    "lbfgs": lambda p: o.LBFGS(p, lr=0.2, max_iter=4, history_size=2),
}


def parameters(dtype):
    p = [torch.linspace(-1, 2, 6, dtype=dtype).reshape(2, 3), torch.linspace(0.5, 1.5, 4, dtype=dtype)]
    return [q.requires_grad_() for q in p]


def steps(optimizer, p):
    """Three steps down a bent valley, the second parameter without a gradient in Muon's."""

    def loss():
        optimizer.zero_grad()
        y = (p[0] - 0.3).square().sum() + (p[1].sin() * p[1]).sum() + (p[0].sum() * p[1].mean()).square() * 0.1
        y.backward()
        return y

    for _ in range(3):
        optimizer.step(loss)


def flat(p):
    return torch.cat([q.detach().reshape(-1) for q in p])


def nested(state, fresh):
    """What `load_state_dict` takes, from entries such as `param_groups.0.betas.1`; what wgrad has not is a fresh optimizer's."""
    groups = [dict(group) for group in fresh["param_groups"]]
    parts = {}
    for key, x in state.items():
        if key.startswith("state."):
            _, i, name = key.split(".", 2)
            parts.setdefault(int(i), {})[name] = x if x.dim() or name in ("step", "mu", "eta", "mu_product") else x.item()
            continue
        _, i, name, *place = key.split(".")
        old, x = groups[int(i)][name], None if x.isnan() else x.item()
        if place:
            old = list(old)
            old[int(place[0])] = x
            groups[int(i)][name] = tuple(old)
        else:
            groups[int(i)][name] = type(old)(x)
    return {"state": parts, "param_groups": groups}


if len(sys.argv) > 1:
    from safetensors.torch import load_file

    worst = 0
    for name, make in CASES.items():
        if name == "lbfgs":
            # What wgrad does not keep of it follows from what it does; the example of a state ends here.
            continue
        file = load_file(Path(sys.argv[1]) / f"optimizer_{name}.safetensors")
        p = parameters(torch.float32)
        with torch.no_grad():
            for i, q in enumerate(p):
                q.copy_(file.pop(f"p{i}"))
        want = file.pop("after")
        optimizer = make(p)
        optimizer.load_state_dict(nested(file, optimizer.state_dict()))
        steps(optimizer, p)
        far = (flat(p) - want).abs().max().item()
        # PyTorch's Muon iterates in bfloat16.
        assert far < (4e-3 if name == "muon" else 5e-6), (name, far)
        worst = max(worst, far if name != "muon" else 0)
    print(f"PyTorch goes on from wgrad's states, within {worst:.1e}")
    sys.exit()

out = {}
for name, make in CASES.items():
    p = parameters(torch.float64 if name.endswith("double") else torch.float32)
    optimizer = make(p)
    steps(optimizer, p)
    # A copy, as the tensors of a state dict are those of the optimizer.
    state = {"optimizer": optimizer.state_dict(), "before": flat(p)}
    out[name] = copy.deepcopy(state)
    steps(optimizer, p)
    out[name]["after"] = flat(p)
path = Path(__file__).parent.parent / "data" / "files" / "optimizers.pt"
torch.save(out, path)
print(len(out), "optimizers,", path.stat().st_size, "bytes")
