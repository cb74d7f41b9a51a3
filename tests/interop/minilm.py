"""What PyTorch makes of sentences, for examples/sentence_embedding: `python tests/interop/minilm.py FOLDER`.

FOLDER holds model.safetensors, tokenizer.json and config.json of all-MiniLM-L6-v2. Needs torch and transformers. Written are
the embeddings of tests/data/sentences/sentences.txt, and a tiny network of the same kind with a step of its training.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy, normalize
from transformers import BertConfig, BertModel

place = Path(__file__).parent.parent / "data" / "sentences"


def embed(net, ids, mask):
    hidden = net(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    mask = mask.unsqueeze(-1)
    return normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9))


def contrast(y):
    """Sentences, as many that mean the same, and as many that mean the opposite."""
    sentences, others = y[: len(y) // 3], y[len(y) // 3 :]
    return cross_entropy(20 * sentences @ others.T, torch.arange(len(sentences)))


folder = Path(sys.argv[1])
net = BertModel(BertConfig.from_json_file(folder / "config.json")).eval()
found = net.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
assert not found.missing_keys and found.unexpected_keys in ([], ["embeddings.position_ids"]), found

tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_truncation(256)  # as sentence_bert_config.json says
tokenizer.enable_padding()
sentences = (place / "sentences.txt").read_text().removesuffix("\n").split("\n")
batch = tokenizer.encode_batch(sentences)
ids = torch.tensor([row.ids for row in batch])
mask = torch.tensor([row.attention_mask for row in batch]).bool()
with torch.no_grad():
    y = embed(net.double(), ids, mask).float()
print(len(sentences), "sentences of", mask.sum(1).tolist(), "tokens")
save_file({"input_ids": ids.int(), "attention_mask": mask, "embeddings": y}, place / "minilm.safetensors")

torch.manual_seed(0)
config = BertConfig(
    vocab_size=30,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=12,
    initializer_range=0.3,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
tiny = BertModel(config, add_pooling_layer=False)
with torch.no_grad():
    for p in tiny.parameters():  # Norms begin with ones and zeros, which would hide mistakes.
        p.add_(0.1 * torch.randn_like(p))
out = {f"state/{name}": p.clone() for name, p in tiny.state_dict().items()}
ids, mask = torch.randint(0, 30, (6, 9)), torch.arange(9) < torch.tensor([9, 4, 2, 7, 1, 9]).unsqueeze(1)
tiny = tiny.double()
y = embed(tiny, ids, mask)
loss = contrast(y)
loss.backward()
out |= {"input_ids": ids.int(), "attention_mask": mask, "embeddings": y.detach().float(), "loss": loss.detach().float()}
out |= {f"grad/{name}": p.grad.float() for name, p in tiny.named_parameters()}
torch.optim.SGD(tiny.parameters(), lr=0.01).step()
out["loss_after"] = contrast(embed(tiny, ids, mask)).detach().float()
print("tiny: loss", loss.item(), "and after a step", out["loss_after"].item())
save_file({name: x.contiguous() for name, x in out.items()}, place / "tiny.safetensors")
