"""What torchmetrics and scikit-learn say of the same predictions, for tests/suite/metrics.rs: `python tests/interop/metrics.py`.

Needs torchmetrics 1.9 and scikit-learn 1.9. Numbers are multiples of 1/64, so that every type holds them exactly.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torchmetrics.classification as tc
import torchmetrics.regression as tr
from sklearn import metrics as sk
from torchmetrics.aggregation import MeanMetric
from torchmetrics.text import Perplexity

rng = np.random.default_rng(0)
C, N = 5, 64
expected = {}


def grid(shape, scale=1.0):
    return np.round(rng.normal(size=shape) * scale * 64) / 64


# Class 4 is predicted and never there, so something divides by 0; some targets do not count.
target = rng.integers(0, C - 1, N)
logits = grid((N, C)) + 1.5 * np.eye(C)[target]
# Many scores of a class are equal, and none of a sample.
logits = np.round(logits * 4) / 4 + np.arange(C) / 64
logits[7, 4] = 6.0
target[[3, 40, 63]] = -1
counted = target >= 0
x, t = torch.tensor(logits), torch.tensor(target)

kinds = {"accuracy": tc.MulticlassAccuracy, "precision": tc.MulticlassPrecision, "recall": tc.MulticlassRecall, "f1": tc.MulticlassF1Score}
for name, kind in kinds.items():
    for average in ["micro", "macro", "weighted"]:
        expected[f"{name}/{average}"] = kind(C, average=average, ignore_index=-1)(x, t).item()
    expected[f"{name}/none"] = kind(C, average="none", ignore_index=-1)(x, t).tolist()
    expected[f"{name}/top2"] = kind(C, average="micro", top_k=2, ignore_index=-1)(x, t).item()
for name in ["precision", "recall", "f1"]:
    zero = kinds[name](C, average="none", ignore_index=-1, zero_division=1)(x, t)
    expected[f"{name}/zero_division"] = zero.tolist()
expected["accuracy/top2_macro"] = tc.MulticlassAccuracy(C, average="macro", top_k=2, ignore_index=-1)(x, t).item()
expected["confusion"] = tc.MulticlassConfusionMatrix(C, ignore_index=-1)(x, t).tolist()
for normalize in ["true", "pred", "all"]:
    matrix = tc.MulticlassConfusionMatrix(C, ignore_index=-1, normalize=normalize)(x, t)
    expected[f"confusion/{normalize}"] = matrix.tolist()
for average in ["macro", "weighted", "none"]:
    expected[f"auroc/{average}"] = tc.MulticlassAUROC(C, average=average, ignore_index=-1)(x, t).tolist()

# scikit-learn agrees where it defines the same.
read, there = x.argmax(1).numpy()[counted], target[counted]
assert np.isclose(sk.accuracy_score(there, read), expected["accuracy/micro"])
assert (sk.confusion_matrix(there, read, labels=range(C)) == expected["confusion"]).all()
for name, f in {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}.items():
    for average in ["macro", "weighted"]:
        assert np.isclose(f(there, read, average=average, zero_division=0), expected[f"{name}/{average}"])
    assert np.allclose(f(there, read, average=None, labels=range(C), zero_division=0), expected[f"{name}/none"])
probabilities = torch.softmax(x, 1).numpy()[counted]
for c in range(C - 1):
    assert np.isclose(sk.roc_auc_score(there == c, probabilities[:, c]), expected["auroc/none"][c])

# 0 or 1, once by probabilities and once by logits; many are equal.
label = rng.integers(0, 2, N)
probability = np.clip(np.round((0.5 * label + 0.7 * rng.random(N)) * 16) / 16, 0, 1)
logit = np.round(8 * (grid(N) + label - 0.5)) / 8
for kind, p in {"probability": probability, "logit": logit}.items():
    p, y = torch.tensor(p), torch.tensor(label)
    of = {"accuracy": tc.BinaryAccuracy, "precision": tc.BinaryPrecision, "recall": tc.BinaryRecall, "f1": tc.BinaryF1Score, "auroc": tc.BinaryAUROC}
    for name, metric in of.items():
        expected[f"binary/{kind}/{name}"] = metric()(p, y).item()
    expected[f"binary/{kind}/confusion"] = tc.BinaryConfusionMatrix()(p, y).tolist()
    expected[f"binary/{kind}/confusion_threshold"] = tc.BinaryConfusionMatrix(threshold=0.625)(p, y).tolist()
    expected[f"binary/{kind}/threshold"] = tc.BinaryF1Score(threshold=0.625)(p, y).item()
    assert np.isclose(sk.roc_auc_score(label, p.numpy()), expected[f"binary/{kind}/auroc"])

# Numbers far from 0, of two outputs.
y = 1000 + grid((N, 2), 2.0)
prediction = y + grid((N, 2), 0.5)
p, y2 = torch.tensor(prediction), torch.tensor(y)
expected["mae"] = tr.MeanAbsoluteError()(p, y2).item()
expected["mse"] = tr.MeanSquaredError()(p, y2).item()
expected["rmse"] = tr.MeanSquaredError(squared=False)(p, y2).item()
expected["r2"] = sk.r2_score(y, prediction)
assert np.isclose(sk.mean_absolute_error(y, prediction), expected["mae"])
assert np.isclose(sk.mean_squared_error(y, prediction), expected["mse"])
r2 = tr.R2Score().set_dtype(torch.float64)
assert np.isclose(r2(p, y2).item(), expected["r2"])

# NaN is left out with its weight, unless that is disabled.
numbers, weights = torch.tensor([1.0, torch.nan, 3.0, torch.nan]), torch.tensor([1.0, 8.0, 3.0, 2.0])
for strategy in ["ignore", "disable"]:
    mean = MeanMetric(nan_strategy=strategy)
    mean.update(numbers, weights)
    expected[f"mean/{strategy}"] = str(mean.compute().item())
try:
    alone = tr.R2Score()
    alone.update(torch.ones(1), torch.zeros(1))
    assert not alone.compute()
except ValueError as error:
    assert "at least two samples" in str(error)

# Two texts of seven tokens out of five.
words = grid((2, 7, C), 2.0)
tokens = rng.integers(0, C, (2, 7))
expected["perplexity"] = Perplexity().double()(torch.tensor(words), torch.tensor(tokens)).item()
tokens[1, 5:] = -100
expected["perplexity/ignored"] = Perplexity(ignore_index=-100).double()(torch.tensor(words), torch.tensor(tokens)).item()

inputs = {"logits": logits, "target": target, "label": label, "probability": probability, "logit": logit, "y": y, "prediction": prediction, "words": words, "tokens": tokens}
data = {"inputs": {name: x.tolist() for name, x in inputs.items()}, "expected": expected}
path = Path(__file__).parents[1] / "data/files/metrics.json"
path.write_text(json.dumps(data, separators=(",", ":")) + "\n")
print(f"{len(expected)} results in {path.name}")
