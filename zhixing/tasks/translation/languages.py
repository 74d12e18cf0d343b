"""From a loaded model folder to how its model reads and writes."""

import re

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.generation.settings import read_settings
from zhixing.tasks.sequence_to_sequence import TextFormat
from zhixing.tokenization.tokenizer import Tokenizer

# How the published families spell a language: Marian, M2M-100, NLLB, mBART.
_LANGUAGE = re.compile(r">>[\w-]+<<|__\w+__|[a-z]{3}_[A-Z][a-z]{3}|[a-z]{2}_[A-Z]{2}")
# What may stand before a text that is read, to name the language to be written.
_CODE = re.compile(r">>[\w-]{1,32}<<")


def code_of(text: str) -> str | None:
    """Give the code of a language with which a text begins.

    Example:
        >>> code_of(">>fra<< Good morning."), code_of("Good morning.")
        ('>>fra<<', None)
    """
    found = _CODE.match(text.lstrip())
    return None if found is None else found[0]


def without_code(text: str) -> str:
    """Give a text without the code it begins with."""
    code = code_of(text)
    return text if code is None else text.lstrip()[len(code) :].lstrip()


def language_id(tokenizer: Tokenizer, code: str) -> int | None:
    """Give the token that names a language, by its own spelling or by what stands in its marks."""
    forms = [f"__{code}__", f">>{code}<<"]
    if not code.isalpha():
        # "en" alone is a piece of many a word.
        forms.insert(0, code)
    found = (tokenizer.id_of(form) for form in forms)
    return next((number for number in found if number is not None), None)


def languages_of(tokenizer: Tokenizer) -> list[str]:
    """List the tokens of a vocabulary that look as if they named a language."""
    pieces = (tokenizer.piece_or_none(i) for i in range(tokenizer.vocab_size))
    return sorted(piece for piece in pieces if piece and _LANGUAGE.fullmatch(piece))


def told_language(tokenizer: Tokenizer) -> int | None:
    """Give the language with which every text that is read begins or ends; None if none does."""
    return next((i for i in tokenizer.wrap([]).input_ids if is_language_id(tokenizer, i)), None)


def is_language_id(tokenizer: Tokenizer, token_id: int) -> bool:
    """Tell whether a token looks as if it named a language."""
    return _LANGUAGE.fullmatch(tokenizer.piece_or_none(token_id) or "") is not None


def text_format_of(pretrained: Pretrained) -> TextFormat:
    """Tell how a model reads and writes, by what its folder says.

    Raises:
        ConfigError: If the folder does not say how to start and end.
    """
    settings = read_settings(pretrained.values, pretrained.generation)
    first = () if settings.forced_first_id is None else (settings.forced_first_id,)
    target = pretrained.target_tokenizer or pretrained.tokenizer
    return TextFormat(pretrained.tokenizer, target, settings, first=first)
