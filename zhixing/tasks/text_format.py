"""How a sequence-to-sequence model reads and writes: its tokenizers and the tokens around texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.generation.settings import SearchSettings, read_settings
from zhixing.tokenization.tokenizer import Tokenizer


@dataclass(frozen=True)
class TextFormat:
    """Hold the tokenizers of both sides and the special tokens around source and target.

    Attributes:
        source: Tokenizer of what is read.
        target: Tokenizer of what is written.
        settings: How it searches, unless told otherwise.
        before: Tokens that stand before every text that is read (T5's task, a language's code).
        first: Tokens with which everything that is written begins (a language's code).
        reads: Instead of the first token around a text that is read, the second: another language.
    """

    source: Tokenizer
    target: Tokenizer
    settings: SearchSettings
    before: tuple[int, ...] = ()
    first: tuple[int, ...] = ()
    reads: tuple[int, int] | None = None

    @property
    def end_id(self) -> int:
        """Give the token that ends what is written."""
        return self.settings.end_ids[0]

    def text(self, ids: Sequence[int]) -> str:
        """Give the text of tokens that were written."""
        return self.target.decode(ids).strip()


def text_format_of(pretrained: Pretrained) -> TextFormat:
    """Tell how a model reads and writes, by what its folder says.

    Raises:
        ConfigError: If the folder does not say how to start and end.
    """
    settings = read_settings(pretrained.values, pretrained.generation)
    first = () if settings.forced_first_id is None else (settings.forced_first_id,)
    target = pretrained.target_tokenizer or pretrained.tokenizer
    return TextFormat(pretrained.tokenizer, target, settings, first=first)
