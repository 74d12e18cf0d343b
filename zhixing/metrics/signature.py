"""A score's signature, as sacreBLEU's: what it was measured on and with, in one line."""

from dataclasses import dataclass, fields

from zhixing.errors import DataError


@dataclass(frozen=True)
class Signature:
    """Everything that must be equal for two scores to be comparable.

    `str(signature)` is the line for a report, in the manner of sacreBLEU: `key:value` pairs joined
    by `|`, in the order of the fields, without spaces around them.

    Attributes:
        metric: Name of the score.
        rows: Number of rows that were scored.
        seed: Start of the random numbers of the interval.
        bootstrap: Number of resamples of the interval; 0 where there is none.
        data: Hash of the data, shortened as its owner likes.
        model: Name or hash of the model.
        version: Version of this package.

    Raises:
        DataError: A field is empty or holds `|` or a line break, or a number is negative.

    Source:
        Post 2018, "A Call for Clarity in Reporting BLEU Scores", arXiv:1804.08771, section 4.

    Example:
        >>> print(Signature("accuracy", 872, 0, 1000, "ab12cd34", "minilm", "0.1.0"))
        metric:accuracy|rows:872|seed:0|bootstrap:1000|data:ab12cd34|model:minilm|version:0.1.0
    """

    metric: str
    rows: int
    seed: int
    bootstrap: int
    data: str
    model: str
    version: str

    def __post_init__(self) -> None:
        for name, value in self._pairs():
            if isinstance(value, int):
                _require_count(name, value)
            else:
                _require_plain(name, value)

    def __str__(self) -> str:
        return "|".join(f"{name}:{value}" for name, value in self._pairs())

    def _pairs(self) -> list[tuple[str, str | int]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


def _require_count(name: str, value: int) -> None:
    if value < 0:
        raise DataError(f"{name} of a signature is {value}, but a count starts at 0; pass it so")


def _require_plain(name: str, value: str) -> None:
    if not value.strip() or "|" in value or not value.isprintable():
        raise DataError(
            f"{name} of a signature is {value!r}, but it may be neither empty nor hold '|' or a "
            "line break, which separate its parts; shorten or rename it"
        )
