"""Translation results and options: what is asked of a translator, and what it gives."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from zhixing.data.windows import Coverage
from zhixing.tasks.options import option


@dataclass(frozen=True)
class SentencePair:
    """A sentence and its translation.

    Attributes:
        start, end: Of the sentence in the document: first character and one past the last.
        source: The sentence.
        text: Its translation.
        score: Mean log-probability of a token; 0 for what was copied.
        flags: What a reader should know: "copied", "windowed", "redone", "loop", "length", "cut",
            "parts" (translated around its placeholders).
    """

    start: int
    end: int
    source: str
    text: str
    score: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Translation:
    """What a document became.

    Attributes:
        text: The translation, with the document's own line breaks and spaces.
        sentences: Every sentence beside its translation, in order.
        coverage: Tokens read, of those given.
        flags: All that any sentence has, but "copied".
    """

    text: str
    sentences: tuple[SentencePair, ...]
    coverage: Coverage
    flags: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        return asdict(self)


@dataclass(frozen=True)
class TranslateOptions:
    """Say how documents are translated.

    Attributes:
        num_beams: Hypotheses that are followed; None for what the model's folder says.
        length_penalty: See `SearchSettings`; None for what the folder says.
        coverage_penalty: How much a hypothesis of a beam loses by what it passes by of the source,
            see `cross_attention.coverage`; 0 for nothing. Values that help are small: 0.01 to 0.2.
        source_language: ISO 639-1 code, for splitting sentences, or the token of a model that is
            told which language it reads (`fr`, `fr_XX`, `fra_Latn`); None for English, and for what
            the model's folder says.
        target_code: The language to write, for a model that knows several: a token such as
            `>>fra<<` is read before the text, any other (`fr`, `fr_XX`, `fra_Latn`) is the first
            that is written.
        terms: What a person's words are to become.
        splits: Part documents into sentences; otherwise every line is one.
        normalizes: Let Moses' rules make punctuation plain before a sentence is read, as it was
            before many Marian models were trained; off, as the reference library has it.
    """

    num_beams: int | None = option(
        None, "Beams: hypotheses to follow; the model's own number if unsaid.", flag="beams"
    )
    length_penalty: float | None = None
    coverage_penalty: float = option(
        0.0, "Penalty on what a beam's hypotheses pass by of the source.", flag="coverage"
    )
    source_language: str | None = option(None, "Code of the language read, such as en or eng_Latn.")
    target_code: str | None = option(
        None, "Code of the language to write, such as fr or >>fra<<.", flag="target"
    )
    terms: Mapping[str, str] = option(
        {}, 'What a word becomes, "word=translation"; repeatable.', flag="term"
    )
    splits: bool = True
    normalizes: bool = option(False, "Make punctuation plain first, by Moses' rules.", flag="moses")
