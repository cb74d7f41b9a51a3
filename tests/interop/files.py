"""Files as PyTorch and NumPy write them, for tests/suite/files.rs: `python tests/interop/files.py` writes them anew.

`python tests/interop/files.py FOLDER` reads what that test left in FOLDER (WGRAD_INTEROP=FOLDER) with both libraries.
"""

import sys
from pathlib import Path

import numpy as np
import torch

folder = Path(__file__).parent.parent / "data" / "files"
x = torch.arange(6, dtype=torch.float32).reshape(2, 3)
expected = {
    "fc.weight": x,
    "fc.transposed": x.t(),
    "fc.part": x[:, 1],
    "scale": torch.tensor(0.5, dtype=torch.float64),
    "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "steps": torch.tensor([3, -4]),
    "mask": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
}

if len(sys.argv) > 1:
    from safetensors.torch import load_file

    out = Path(sys.argv[1])
    read = {"safetensors": load_file(out / "all.safetensors")}
    read["npz"] = {name: torch.from_numpy(a) for name, a in np.load(out / "all.npz").items()}
    for kind, tensors in read.items():
        assert tensors.keys() == expected.keys(), (kind, tensors.keys())
        for name, y in tensors.items():
            assert torch.equal(y.to(torch.float64), expected[name].to(torch.float64)), (kind, name, y)
    print("what wgrad wrote is read as it was")
    sys.exit()

folder.mkdir(parents=True, exist_ok=True)
layer = torch.nn.Linear(2, 2)
optimizer = torch.optim.Adam(layer.parameters())
layer(torch.ones(1, 2)).sum().backward()
optimizer.step()
torch.save(expected, folder / "tensors.pt")
torch.save({"model": layer.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, folder / "checkpoint.pt")
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
scaler.scale(layer(torch.ones(1, 2)).sum()).backward()
scaler.step(optimizer)
scaler.update()
torch.save({"scaler": scaler.state_dict()}, folder / "scaler.pt")
torch.save(list(layer.parameters()), folder / "parameters.pt")
torch.save(expected, folder / "legacy.pt", _use_new_zipfile_serialization=False)
numpy = {name: y.float().numpy() if y.dtype == torch.bfloat16 else y.numpy() for name, y in expected.items()}
np.savez(folder / "arrays.npz", **numpy)
np.savez_compressed(folder / "packed.npz", **numpy)
np.save(folder / "fortran.npy", np.asfortranarray(x.numpy()))
np.save(folder / "large.npy", np.array([2**40]))
np.save(folder / "text.npy", np.array(["no", "number"]))
