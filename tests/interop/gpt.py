"""Writes tests/data/gpt.safetensors: the network of examples/char_gpt, trained by PyTorch for 200 steps.

Run from the root of the repository: python tests/interop/gpt.py (needs torch and safetensors).
"""

import gzip
import math

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

CONTEXT, BATCH, STEPS, LAYERS, HEADS, SIZE, LR = 32, 8, 200, 2, 2, 32, 3e-3

text = gzip.open("examples/data/kjv.txt.gz", "rt", encoding="utf-8").read()
letters = {c: i for i, c in enumerate(sorted(set(text)))}
tokens = torch.tensor([letters[c] for c in text])
cut = len(tokens) // 10 * 9
training, validation = tokens[:cut], tokens[cut:]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(SIZE, 3 * SIZE), nn.Linear(SIZE, SIZE)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.c_attn(x).view(b, t, 3, HEADS, SIZE // HEADS).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(b, t, SIZE))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(SIZE, 4 * SIZE), nn.Linear(4 * SIZE, SIZE)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.attn, self.ln_2, self.mlp = nn.LayerNorm(SIZE), Attention(), nn.LayerNorm(SIZE), Mlp()

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(len(letters), SIZE), nn.Embedding(CONTEXT, SIZE)
        self.h, self.ln_f = nn.ModuleList(Block() for _ in range(LAYERS)), nn.LayerNorm(SIZE)
        for name, p in self.named_parameters():
            if p.dim() > 1:
                std = 0.02 / math.sqrt(2 * LAYERS) if name.endswith("c_proj.weight") else 0.02
                nn.init.normal_(p, 0.0, std)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, x):
        x = self.wte(x) + self.wpe(torch.arange(x.shape[1]))
        for block in self.h:
            x = block(x)
        return F.linear(self.ln_f(x), self.wte.weight)


def batch(tokens, step):
    starts = [(step * BATCH + i) * 7919 % (len(tokens) - CONTEXT - 1) for i in range(BATCH)]
    x = torch.stack([tokens[at : at + CONTEXT] for at in starts])
    y = torch.stack([tokens[at + 1 : at + CONTEXT + 1] for at in starts])
    return x, y


def loss_of(net, x, y):
    return F.cross_entropy(net(x).flatten(0, 1), y.flatten(0, 1))


torch.manual_seed(0)
net = Gpt()
begin = {name: p.detach().clone() for name, p in net.state_dict().items()}
groups = [
    {"params": [p for p in net.parameters() if p.dim() > 1], "weight_decay": 0.1},
    {"params": [p for p in net.parameters() if p.dim() <= 1], "weight_decay": 0.0},
]
adamw = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.99))
warmup = math.ceil(STEPS / 20)


def rate(t):
    if t < warmup:
        return (t + 1) / warmup
    return 0.1 + 0.9 * (1 + math.cos(math.pi * (t - warmup) / (STEPS - warmup))) / 2


scheduler = torch.optim.lr_scheduler.LambdaLR(adamw, rate)
losses = []
for step in range(STEPS):
    loss = loss_of(net, *batch(training, step))
    adamw.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    adamw.step()
    scheduler.step()
    losses.append(loss.detach())
with torch.no_grad():
    end = torch.stack([loss_of(net, *batch(validation, i)) for i in range(8)]).mean()
print("last loss", losses[-1].item(), "validation", end.item())
save_file({**begin, "losses": torch.stack(losses), "validation": end.reshape(1)}, "tests/data/gpt.safetensors")
