"""The list of families.rs on PyTorch, as JSON lines of the same shape: python benches/families.py > torch.jsonl"""

import json
import time

import torch
import torch.nn.functional as F


def floats(*shape):
    return torch.rand(shape) * 2 - 1


def ints(below, *shape):
    return torch.randint(0, below, shape)


def norm(x, w, b):
    return F.batch_norm(x, None, None, w, b, training=True)


def lstm(x, h, wi, wh, bi, bh):
    return torch.lstm(x, (h, h), [wi, wh, bi, bh], True, 1, 0.0, False, False, False)[0]


M = (1024, 1024)
ENTRIES = [
    ("add", [floats(*M), floats(*M)], torch.add),
    ("add_row", [floats(*M), floats(1024)], torch.add),
    ("exp", [floats(*M)], torch.exp),
    ("sin", [floats(*M)], torch.sin),
    ("tanh", [floats(*M)], torch.tanh),
    ("gelu+", [floats(*M)], F.gelu),
    ("chain+", [floats(*M)], lambda x: (x * 1.5 + 0.25).tanh() * x - x.relu()),
    ("where", [floats(*M), floats(*M)], lambda x, y: torch.where(x > 0, x, y)),
    ("sum_all", [floats(2048, 2048)], torch.sum),
    ("sum_rows", [floats(4096, 1024)], lambda x: x.sum(1)),
    ("sum_columns", [floats(4096, 1024)], lambda x: x.sum(0)),
    ("amax", [floats(4096, 1024)], lambda x: x.amax(1)),
    ("argmax", [floats(4096, 1024)], lambda x: x.argmax(1)),
    ("var", [floats(4096, 1024)], lambda x: x.var(1)),
    ("logsumexp+", [floats(4096, 1024)], lambda x: x.logsumexp(1)),
    ("cumsum", [floats(*M)], lambda x: x.cumsum(1)),
    ("cumprod+", [floats(256, 1024)], lambda x: x.cumprod(1)),
    ("matmul+", [floats(512, 512), floats(512, 512)], torch.matmul),
    ("bmm", [floats(16, 128, 64), floats(16, 64, 128)], torch.bmm),
    ("linear+", [floats(64, 784), floats(256, 784), floats(256)], F.linear),
    ("transpose_copy", [floats(*M)], lambda x: x.t().contiguous()),
    ("cat", [floats(512, 1024), floats(512, 1024)], lambda x, y: torch.cat([x, y])),
    ("pad", [floats(16, 16, 32, 32)], lambda x: F.pad(x, (1, 1, 1, 1))),
    ("roll", [floats(*M)], lambda x: x.roll(17, 1)),
    ("tril", [floats(*M)], torch.tril),
    ("gather", [floats(*M), ints(1024, 1024, 256)], lambda x, i: x.gather(1, i)),
    ("index_select", [floats(10000, 128), ints(10000, 4096)], lambda x, i: x.index_select(0, i)),
    ("scatter_add", [floats(*M), ints(1024, 1024, 256), floats(1024, 256)], lambda x, i, s: x.scatter_add(1, i, s)),
    ("embedding+", [floats(10000, 128), ints(10000, 32, 64)], lambda w, i: F.embedding(i, w)),
    ("sort", [floats(256, 1024)], lambda x: x.sort(1)[0]),
    ("topk", [floats(256, 1024)], lambda x: x.topk(8, 1)[0]),
    ("softmax+", [floats(4096, 1024)], lambda x: x.softmax(1)),
    ("layer_norm+", [floats(4096, 1024), floats(1024), floats(1024)], lambda x, w, b: F.layer_norm(x, (1024,), w, b)),
    ("batch_norm+", [floats(32, 32, 32, 32), floats(32), floats(32)], norm),
    ("cross_entropy+", [floats(4096, 1000), ints(1000, 4096)], F.cross_entropy),
    ("mse_loss+", [floats(*M), floats(*M)], F.mse_loss),
    ("conv1d+", [floats(16, 32, 256), floats(64, 32, 5), floats(64)], lambda x, w, b: F.conv1d(x, w, b, padding=2)),
    ("conv2d+", [floats(16, 16, 32, 32), floats(32, 16, 3, 3), floats(32)], lambda x, w, b: F.conv2d(x, w, b, padding=1)),
    ("conv2d_depthwise", [floats(8, 64, 32, 32), floats(64, 1, 3, 3)], lambda x, w: F.conv2d(x, w, padding=1, groups=64)),
    ("conv_transpose2d", [floats(8, 32, 16, 16), floats(32, 16, 2, 2)], lambda x, w: F.conv_transpose2d(x, w, stride=2)),
    ("max_pool2d+", [floats(16, 32, 32, 32)], lambda x: F.max_pool2d(x, 2)),
    ("avg_pool2d", [floats(16, 32, 32, 32)], lambda x: F.avg_pool2d(x, 2)),
    ("interpolate", [floats(8, 16, 32, 32)], lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")),
    (
        "attention+",
        [floats(8, 4, 64, 32), floats(8, 4, 64, 32), floats(8, 4, 64, 32)],
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    ),
    ("lstm+", [floats(32, 16, 64), floats(1, 16, 64), floats(256, 64), floats(256, 64), floats(256), floats(256)], lstm),
    ("rand", [floats(1)], lambda x: torch.rand(1024, 1024)),
]


def measure(f, x, gradients):
    x = [v.clone().requires_grad_(gradients and v.is_floating_point()) for v in x]
    leaves = [v for v in x if v.requires_grad]

    def call():
        start = time.perf_counter()
        y = f(*x)
        held = torch.autograd.grad(y.sum(), leaves) if gradients else y
        ms = (time.perf_counter() - start) * 1e3
        del held
        return ms

    begun = time.perf_counter()
    for i in range(1000):
        call()
        if i >= 2 and time.perf_counter() - begun > 0.3:
            break
    begun, times = time.perf_counter(), []
    while len(times) < 5 or (len(times) < 100 and time.perf_counter() - begun < 1.0):
        times.append(call())
    return sorted(times)[len(times) // 2], len(times)


for name, x, f in ENTRIES:
    op = name.rstrip("+")
    shape = ",".join("x".join(map(str, v.shape)) for v in x)
    for gradients in [False, True][: 1 + name.endswith("+")]:
        ms, n = measure(f, x, gradients)
        line = {"op": op + (" and gradients" if gradients else ""), "shape": shape, "device": "torch " + torch.__version__}
        print(json.dumps({**line, "ms_median": ms, "n": n}), flush=True)
