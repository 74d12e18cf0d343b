"""Classifier: tokenizer + model + task; texts in, labels with calibrated probabilities out."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import torch

from zhixing.checkpoints.card import Card
from zhixing.checkpoints.fingerprint import model_hash
from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.batch import Example
from zhixing.data.roles import LABELLED, MAYBE_LABELLED, TEXTS, Role
from zhixing.data.table import Table
from zhixing.errors import ConfigError, DataError
from zhixing.evaluation.claims import Origin
from zhixing.jobs.registry import imported
from zhixing.jobs.report import Agreement, Line, Report
from zhixing.jobs.use import Use
from zhixing.tasks.classification import Classification, ClassificationTask
from zhixing.tasks.options import option
from zhixing.tasks.text_reading import ReadingModel
from zhixing.version import __version__


@dataclass(frozen=True)
class ClassifyOptions:
    """How results are made of logits.

    Attributes:
        top_k: How many labels `scores` keeps; 0 for all.
        threshold: Below this probability no label is given.
        tokens_per_batch: Budget of a batch; 0 for what suits the device.
    """

    top_k: int = option(0, "How many labels to show; 0 for all.")
    threshold: float = option(0.0, "Give no label below this probability.")
    tokens_per_batch: int = 0

    def __post_init__(self) -> None:
        if self.top_k < 0 or self.tokens_per_batch < 0:
            raise ConfigError(
                f"top_k is {self.top_k} and tokens_per_batch is {self.tokens_per_batch}; "
                f"both have to be at least 0"
            )
        if not 0.0 <= self.threshold <= 1.0:
            raise ConfigError(f"threshold is {self.threshold}; it is a probability from 0 to 1")


class Classifier(ReadingModel[Classification]):
    """Classify texts with a trained model; see `ReadingModel` for its arguments.

    Example:
        `zx.load("runs/reviews")("A moving, funny film.").label`
    """

    def make_task(self) -> ClassificationTask:
        """Make the task of the card's labels."""
        return ClassificationTask(
            self.pretrained.tokenizer,
            self.card.labels,
            max_positions=self.pretrained.config.max_positions,
            is_multi_label=self.card.is_multi_label,
        )

    def with_card(self, card: Card) -> "Classifier":
        """Give the same classifier with another card: other temperature or thresholds."""
        other = copy(self)
        other.card, other.pretrained = card, replace(self.pretrained, card=card)
        return other

    @property
    def labels(self) -> tuple[str, ...]:
        """Name the classes."""
        return self.task.labels

    def encode(self, table: Table) -> list[Example]:
        """Tokenize rows, once they are known to be what the model was trained on.

        Raises:
            DataError: If single texts are given to a model of pairs, or the other way round.
        """
        has_pairs = table.pairs is not None
        if self.card.task is not None and has_pairs != self.card.is_pair:
            given, wanted = ("pairs", "single texts") if has_pairs else ("single texts", "pairs")
            remedy = "name the column of second texts with --pair, or give pairs="
            if has_pairs:
                column = table.columns.get("pair")
                remedy = f"leave out {'the second texts' if column is None else repr(column)}"
            raise DataError(
                f"{table.source} holds {given}, but the model was trained on {wanted}; {remedy}"
            )
        return self.task.encode(table)

    def results(
        self, logits: torch.Tensor, examples: Sequence[Example], options: Any = None
    ) -> list[Classification]:
        """Turn logits into calibrated results."""
        options = options or ClassifyOptions()
        return self.task.decode(
            logits,
            examples,
            temperature=self.card.temperature,
            thresholds=self.card.thresholds,
            threshold=options.threshold,
            top_k=options.top_k,
        )

    def score(self, table: Table, *, against: "Classifier | None" = None, seed: int = 0) -> Report:
        """Score the labels of a labelled table's rows.

        Raises:
            DataError: If a row's label is unknown to the model.
            ConfigError: If another model is named.
        """
        if against is not None:
            raise ConfigError(
                "the model classifies; --against compares two models that write: drop it"
            )
        examples = self.encode(table)
        return self.report(self.logits(examples), examples, table, seed=seed)

    def report(
        self, logits: torch.Tensor, examples: Sequence[Example], table: Table, *, seed: int = 0
    ) -> Report:
        """Score logits that were computed already."""
        scored = imported("zhixing.jobs.classify.report:evaluate_logits")
        return scored(
            logits,
            examples,
            self.labels,
            is_multi_label=self.card.is_multi_label,
            temperature=self.card.temperature,
            thresholds=self.card.thresholds,
            origin=Origin(table.fingerprint(), model_hash(self.model), __version__, seed),
        )

    def agreement(self, other: "Classifier", table: Table) -> Agreement:
        """Say how far another model's labels and probabilities are from this one's."""
        examples = self.encode(table)
        compared = imported("zhixing.jobs.classify.report:label_agreement")
        return compared(
            [model.logits(examples).double() for model in (self, other)],
            examples,
            table,
            is_multi_label=self.card.is_multi_label,
            temperature=self.card.temperature,
        )


class ClassifyUse(Use):
    """How classifiers are opened and asked."""

    options = ClassifyOptions
    asked = TEXTS
    pages = "zhixing.jobs.classify.pages:answer_sections"

    def open(self, pretrained: Pretrained, *, device: str, precision: Any) -> Classifier:
        """Open a loaded folder as a classifier."""
        return Classifier(pretrained, device=device, precision=precision)

    def scored(self, card: Card, *, must: bool) -> tuple[Role, ...]:
        """Read texts, second texts and labels."""
        return LABELLED if must else MAYBE_LABELLED

    def reading(self, card: Card) -> Mapping[str, Any]:
        """Read labels as the model was trained on them."""
        return {"multi_label": card.is_multi_label, "label_separator": card.label_separator}

    def lines(self, text: str, result: Classification) -> list[Line]:
        """Say the label, its probability, and the labels after it."""
        shown = " ".join(text.split())
        shown = shown if len(shown) <= 72 else shown[:71] + "…"
        label = ", ".join(result.labels) or "—"
        lines: list[Line] = [(f"{label}  {result.score:.3f}  {shown}", "")]
        ranked = sorted(result.scores.items(), key=lambda pair: -pair[1])[:3]
        if len(result.scores) > 1:
            rest = "  ".join(f"{name} {score:.3f}" for name, score in ranked)
            lines.append((f"    {rest}", "dim"))
        if result.coverage.read < result.coverage.total:
            read = f"{result.coverage.read} of {result.coverage.total} tokens read"
            lines.append((f"    {read}", ""))
        return lines

    def next_words(self, pretrained: Pretrained) -> str:
        """Give one text, or two where the model reads pairs."""
        second = ' --pair "and its second text"' if pretrained.card.is_pair else ""
        return f'"a text of yours"{second}'

    def brief(self, text: str, result: Classification) -> list[Line]:
        """Say the label and its probability before the text."""
        return [(f"{result.label or '—':<20} {result.score:.2f}  {text}", "")]


USE = ClassifyUse()
