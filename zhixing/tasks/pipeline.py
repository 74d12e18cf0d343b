"""Pipeline: tokenizer + model + task; text in, results out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import torch

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.batch import Example
from zhixing.data.table import Table
from zhixing.errors import CheckpointError, ConfigError, DataError
from zhixing.models.packing import pack_linears, twin_of, unpack_linears
from zhixing.models.quantization import is_quantized, quantize, release_weights
from zhixing.models.transformer import Transformer
from zhixing.tasks.classification import Classification, ClassificationTask
from zhixing.tasks.running import Precision, give_back_memory, logits_of, resolved


@dataclass(frozen=True)
class Options:
    """How results are made of logits.

    Attributes:
        top_k: How many labels `scores` keeps; 0 for all.
        threshold: Below this probability no label is given.
        tokens_per_batch: Budget of a batch; 0 for what suits the device.
    """

    top_k: int = 0
    threshold: float = 0.0
    tokens_per_batch: int = 0

    def __post_init__(self) -> None:
        if self.top_k < 0 or self.tokens_per_batch < 0:
            raise ConfigError(
                f"top_k is {self.top_k} and tokens_per_batch is {self.tokens_per_batch}; "
                f"both have to be at least 0"
            )
        if not 0.0 <= self.threshold <= 1.0:
            raise ConfigError(f"threshold is {self.threshold}; it is a probability from 0 to 1")


class Pipeline:
    """Classify texts with a trained model.

    All threads may share one: a call changes nothing but what it returns.

    Args:
        pretrained: Stays as it was; the pipeline's own model shares its weights.
        device: cpu, cuda, cuda:N or mps.
        precision: Of the matrix products: float32, bfloat16, float16, int8, or auto for bfloat16
            where it is fast.

    Raises:
        CheckpointError: If the model has no head for a task.
        ConfigError: If device or precision are unknown, or do not go together.

    Example:
        `zx.load("runs/reviews")("A moving, funny film.").label`
    """

    def __init__(
        self,
        pretrained: Pretrained,
        *,
        device: str = "cpu",
        precision: Precision = "float32",
    ) -> None:
        config = pretrained.config
        if config.head != "classification":
            raise CheckpointError(
                f"the model has no classification head (its head is {config.head!r}); "
                f"train one with: zhixing train classify --data FILE --model FOLDER --out NEW"
            )
        self.card = pretrained.card
        self.device = usable_device(device)
        self.precision = resolved(precision, self.device)
        self.model, self._products = prepared_model(pretrained.model, self.device, self.precision)
        self.pretrained = replace(pretrained, model=self.model)
        self.task = ClassificationTask(
            pretrained.tokenizer,
            self.card.labels,
            max_positions=config.max_positions,
            is_multi_label=self.card.is_multi_label,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Name the classes."""
        return self.task.labels

    @overload
    def __call__(
        self, texts: str, pairs: str | None = None, *, options: Options = Options()
    ) -> Classification: ...

    @overload
    def __call__(
        self,
        texts: list[str] | tuple[str, ...],
        pairs: list[str] | tuple[str, ...] | None = None,
        *,
        options: Options = Options(),
    ) -> list[Classification]: ...

    def __call__(
        self,
        texts: str | list[str] | tuple[str, ...],
        pairs: str | list[str] | tuple[str, ...] | None = None,
        *,
        options: Options = Options(),
    ) -> Classification | list[Classification]:
        """Classify one text, or a list in order.

        Args:
            texts: One text gives one result, a list gives a list.
            pairs: The second text of each, where the model was trained on pairs.
            options: How results are made.

        Raises:
            DataError: If a text is not a string, or texts and pairs are unlike in number.
        """
        if isinstance(texts, str):
            second = None if pairs is None else [checked_text(pairs, "pairs")]
            return self.predict(table_of([checked_text(texts, "texts")], second), options)[0]
        seconds = None if pairs is None else [checked_text(pair, "pairs") for pair in pairs]
        return self.predict(table_of([checked_text(t, "texts") for t in texts], seconds), options)

    def predict(self, table: Table, options: Options = Options()) -> list[Classification]:
        """Classify all rows of a table, in order."""
        if not table.texts:
            return []
        examples = self.encode(table)
        return self.results(self.logits(examples, options), examples, options)

    def encode(self, table: Table) -> list[Example]:
        """Tokenize rows, once they are known to be what the model was trained on.

        Raises:
            DataError: If single texts are given to a model of pairs, or the other way round.
        """
        has_pairs = table.pairs is not None
        if self.card.task is not None and has_pairs != self.card.is_pair:
            given, wanted = ("pairs", "single texts") if has_pairs else ("single texts", "pairs")
            remedy = (
                f"leave out the column {table.columns.get('pair', 'of second texts')!r}"
                if has_pairs
                else "name the column of second texts with --pair, or give pairs="
            )
            raise DataError(
                f"{table.source} holds {given}, but the model was trained on {wanted}; {remedy}"
            )
        return self.task.encode(table)

    def stream(
        self, tables: Iterable[Table], options: Options = Options()
    ) -> Iterator[tuple[Table, list[Classification]]]:
        """Classify tables one after the other, holding no more than one."""
        for table in tables:
            yield table, self.predict(table, options)
            give_back_memory()

    def logits(self, examples: Sequence[Example], options: Options = Options()) -> torch.Tensor:
        """Give the uncalibrated logits of encoded texts, one row each."""
        return logits_of(
            self.model,
            self.task,
            examples,
            device=self.device,
            precision=self._products,
            tokens_per_batch=options.tokens_per_batch,
        )

    def results(
        self, logits: torch.Tensor, examples: Sequence[Example], options: Options = Options()
    ) -> list[Classification]:
        """Turn logits into calibrated results."""
        return self.task.decode(
            logits,
            examples,
            temperature=self.card.temperature,
            thresholds=self.card.thresholds,
            threshold=options.threshold,
            top_k=options.top_k,
        )


def usable_device(name: str) -> torch.device:
    """Give a device that is there.

    Raises:
        ConfigError: If it is unknown or absent.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device is {name!r}; allowed are cpu, cuda, cuda:N and mps") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        usable = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise ConfigError(f"device {name!r} is not on this machine; usable here: {usable}")
    return device


def prepared_model(
    model: Transformer, device: torch.device, precision: str
) -> tuple[Transformer, str]:
    """Give a model fit for a precision, and the precision that its products still have to be told.

    The model that was given stays as it was; the two share their weights.
    """
    model = twin_of(model)
    unpack_linears(model)
    if precision == "int8" and not is_quantized(model):
        if device.type != "cpu":
            raise ConfigError(f"int8 runs on the CPU only, and the device is {device}; drop one")
        quantize(model)
    model = model.to(device)
    if device.type == "cpu":
        release_weights(model)
    is_packed = (
        device.type == "cpu"
        and precision in ("float32", "bfloat16")
        and pack_linears(model, getattr(torch, precision))
    )
    # Packed layers round by themselves, and the others shall not.
    return model, "float32" if is_packed else precision


def table_of(texts: list[str], pairs: list[str] | None) -> Table:
    """Make an unlabelled table of texts in memory."""
    if pairs is not None and len(pairs) != len(texts):
        raise DataError(f"there are {len(texts)} texts but {len(pairs)} pairs; give one a text")
    return Table(
        texts=texts,
        pairs=pairs,
        labels=None,
        rows=list(range(1, len(texts) + 1)),
        source="<list>",
        is_multi_label=False,
        columns={},
    )


def checked_text(value: object, name: str) -> str:
    """Give a text that is one.

    Raises:
        DataError: If it is not a string, or holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise DataError(f"{name} holds a {type(value).__name__}; every text has to be a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name} holds {value[error.start]!r} at character {error.start}, half of a surrogate "
            f"pair, which no UTF-8 text has; decode the text with the encoding that it was in"
        ) from error
    return value
