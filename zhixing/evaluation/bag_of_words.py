"""The baseline that a Transformer has to beat: which words occur, in no order at all."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from zhixing.data.table import Table
from zhixing.metrics.intervals import PairedDifference, paired_difference

WORDS = re.compile(r"\w+")
UNSPACED = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
SPACE = re.compile(r"\s+")
Unit = Literal["words", "characters", "character pairs"]
MOST_ROWS, MOST_NAMES, MOST_TO_CHOOSE_ON = 20_000, 50_000, 400_000
PENALTIES = (1e-5, 1e-4, 1e-3)


@dataclass(frozen=True)
class BagOfWords:
    """Hold a fitted baseline.

    `features` gives the column of a name, `inverse_frequency` its weight.
    """

    features: dict[str, int]
    inverse_frequency: Float[Tensor, " F"]
    weights: Float[Tensor, "F C"]
    bias: Float[Tensor, " C"]
    unit: Unit

    def predict(self, texts: Sequence[str]) -> Int[Tensor, " B"]:
        """Give the class of each text."""
        bags = _bags(texts, self.features, self.inverse_frequency, self.unit)
        return (_product(bags, self.weights) + self.bias).argmax(-1)


@dataclass(frozen=True)
class Baseline:
    """Compare a model with counting words.

    The gain is the model's accuracy minus the baseline's on the same rows, with its interval.
    """

    unit: Unit
    accuracy: float
    gain: PairedDifference


@dataclass(frozen=True)
class _Bags:
    columns: Int[Tensor, " N"]
    values: Float[Tensor, " N"]
    starts: Int[Tensor, " B"]


def fit_bag_of_words(
    texts: Sequence[str],
    labels: Int[Tensor, " B"],
    num_classes: int,
    *,
    unit: Unit | None = None,
) -> BagOfWords:
    """Fit a logistic regression on TF-IDF of what the texts are made of.

    The 50,000 names in the most texts are counted. The strength of the L2 penalty is chosen on a
    tenth of the rows, where there are few enough to do that in seconds; then all rows are used.

    Args:
        texts: To learn from.
        labels: Their classes.
        num_classes: How many there are.
        unit: What is counted: "words" are words and pairs of neighbours; "characters" are single
            ones; "character pairs" are both, most words of a script without spaces, and a much
            higher bar. By default words, or characters in such a script.

    Source:
        Wang & Manning 2012, "Baselines and bigrams", ACL, for how strong such a baseline is.
    """
    sample = "".join(texts[:200])
    if unit is None:
        unit = "characters" if len(UNSPACED.findall(sample)) * 4 > len(sample) else "words"
    counts = Counter(name for text in texts for name in set(_names(text, unit)))
    common = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_NAMES]
    kept = sorted(name for name in common if counts[name] > 1)
    features = {name: i for i, name in enumerate(kept)}
    frequency = torch.tensor([float(counts[name]) for name in kept])
    inverse = torch.log((1 + len(texts)) / (1 + frequency)) + 1.0
    bags = _bags(texts, features, inverse, unit)
    shape = (len(kept), num_classes)
    held = torch.arange(len(texts)) % 10 == 9
    penalty = PENALTIES[1]
    if bool(held.any()) and len(bags.columns) <= MOST_TO_CHOOSE_ON:
        penalty = max(PENALTIES, key=lambda p: _held_out(bags, labels, held, shape, p))
    weights, bias = _fit(bags, labels, torch.ones(len(texts)), shape, penalty)
    return BagOfWords(features, inverse, weights, bias, unit)


def compare(
    training: Table, test: Table, names: Sequence[str], predicted: Int[Tensor, " B"]
) -> Baseline | None:
    """Fit the bag of words on some rows, and compare it on others with what a model predicted.

    Returns:
        The comparison; None for pairs and several labels, which a bag does not know, and for more
        rows than it can learn from in seconds.
    """
    knows = not training.is_multi_label and training.pairs is None
    if not knows or len(training) > MOST_ROWS:
        return None
    ids = {name: i for i, name in enumerate(names)}
    learned, targets = (
        torch.tensor([ids[label[0]] for label in table.row_labels()]) for table in (training, test)
    )
    bag = fit_bag_of_words(training.texts, learned, len(names))
    return against(bag, test.texts, targets, predicted)


def against(
    bag: BagOfWords,
    texts: Sequence[str],
    targets: Int[Tensor, " B"],
    predicted: Int[Tensor, " B"],
) -> Baseline:
    """Compare what a model predicted for some texts with what the bag of words says."""
    counted = (bag.predict(texts) == targets).double()
    right = (predicted == targets).double()
    return Baseline(bag.unit, float(counted.mean()), paired_difference(right, counted))


def _names(text: str, unit: Unit) -> Iterator[str]:
    if unit == "characters":
        yield from SPACE.sub("", text.lower())
        return
    parts: Sequence[str] = WORDS.findall(text.lower())
    joint = " "
    if unit == "character pairs":
        parts, joint = SPACE.sub("", text.lower()), ""
    yield from parts
    for left, right in zip(parts, parts[1:], strict=False):
        yield f"{left}{joint}{right}"


def _bags(
    texts: Sequence[str], features: dict[str, int], inverse: Float[Tensor, " F"], unit: Unit
) -> _Bags:
    columns: list[int] = []
    values: list[float] = []
    starts: list[int] = []
    weights = inverse.tolist()
    for text in texts:
        starts.append(len(columns))
        found = Counter(features[name] for name in _names(text, unit) if name in features)
        row = {column: (1 + math.log(n)) * weights[column] for column, n in found.items()}
        length = math.sqrt(sum(value * value for value in row.values())) or 1.0
        columns += row
        values += [value / length for value in row.values()]
    return _Bags(
        torch.tensor(columns, dtype=torch.int64),
        torch.tensor(values),
        torch.tensor(starts, dtype=torch.int64),
    )


def _product(bags: _Bags, weights: Float[Tensor, "F C"]) -> Float[Tensor, "B C"]:
    if len(bags.columns) == 0:
        return weights.new_zeros(len(bags.starts), weights.size(1))
    return functional.embedding_bag(
        bags.columns, weights, bags.starts, mode="sum", per_sample_weights=bags.values
    )


def _fit(
    bags: _Bags,
    labels: Int[Tensor, " B"],
    counted: Float[Tensor, " B"],
    shape: tuple[int, int],
    penalty: float,
) -> tuple[Float[Tensor, "F C"], Float[Tensor, " C"]]:
    weights = torch.zeros(shape, requires_grad=True)
    bias = torch.zeros(shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = functional.cross_entropy(_product(bags, weights) + bias, labels, reduction="none")
        loss = (losses * counted).sum() / counted.sum() + penalty * weights.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach(), bias.detach()


def _held_out(
    bags: _Bags, labels: Int[Tensor, " B"], held: Tensor, shape: tuple[int, int], penalty: float
) -> float:
    weights, bias = _fit(bags, labels, (~held).float(), shape, penalty)
    predicted = (_product(bags, weights) + bias).argmax(-1)
    return float((predicted == labels)[held].double().mean())
