"""Language codes of multilingual translation models: `>>fra<<`, `__fr__`, `fra_Latn`, `fr_XX`."""

import re
from dataclasses import replace

from zhixing.errors import DataError
from zhixing.tasks.sequence_to_sequence import TextFormat
from zhixing.tokenization.tokenizer import Tokenizer

# How the published families spell a language: Marian, M2M-100, NLLB, mBART.
_LANGUAGE = re.compile(r">>[\w-]+<<|__\w+__|[a-z]{3}_[A-Z][a-z]{3}|[a-z]{2}_[A-Z]{2}")
# What may stand before a text that is read, to name the language to be written.
_CODE = re.compile(r">>[\w-]{1,32}<<")


# ISO 639-3 codes, as NLLB has them, of languages that sentences are found in by a shorter one.
_SHORT_CODES = {
    "eng": "en", "fra": "fr", "deu": "de", "spa": "es", "ita": "it", "por": "pt", "nld": "nl",
    "zho": "zh", "jpn": "ja", "kor": "ko", "rus": "ru", "ukr": "uk", "pol": "pl", "ces": "cs",
    "slk": "sk", "slv": "sl", "hun": "hu", "ron": "ro", "bul": "bg", "ell": "el", "tur": "tr",
    "arb": "ar", "heb": "he", "hin": "hi", "ben": "bn", "tam": "ta", "tel": "te", "mar": "mr",
    "guj": "gu", "kan": "kn", "mal": "ml", "pan": "pa", "npi": "ne", "vie": "vi", "tha": "th",
    "ind": "id", "swe": "sv", "dan": "da", "fin": "fi", "est": "et", "lit": "lt", "cat": "ca",
}  # fmt: skip


def splitting_language(source_language: str | None) -> str:
    """Give the ISO 639-1 code by which sentences are found; English if none is named.

    Example:
        >>> splitting_language("fra_Latn"), splitting_language("de_DE"), splitting_language(None)
        ('fr', 'de', 'en')
    """
    code = (source_language or "").strip("_").partition("_")[0].lower()
    return _SHORT_CODES.get(code, code) or "en"


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


def directed(
    text_format: TextFormat, source_language: str | None, target_code: str | None
) -> tuple[list[int], TextFormat]:
    """Choose the languages of a multilingual model.

    Args:
        text_format: The model's own.
        source_language: Code of the language that is read; None for what the folder says.
        target_code: Code of the language to write; None for what the folder says.

    Returns:
        Tokens that are read before every text, and the format for these languages.

    Raises:
        DataError: If the vocabulary lacks a language, or has to be told one.
    """
    changed = text_format
    usual = told_language(text_format.source)
    if usual is not None and source_language is not None:
        told = language_id(text_format.source, source_language)
        if told is None:
            raise _lacks(text_format, "source_language", source_language)
        changed = replace(changed, reads=(usual, told))
    if target_code is None:
        if has_to_be_told(text_format):
            raise DataError(
                f"the model writes several languages ({_known(text_format)}), and target_code "
                f"names none; give one (--target)"
            )
        return [], changed
    number = language_id(text_format.source, target_code)
    if number is None:
        raise _lacks(text_format, "target_code", target_code)
    if text_format.source.piece(number).startswith(">>"):
        return [number], changed
    return [], replace(changed, first=(number,))


def _lacks(text_format: TextFormat, name: str, code: str) -> DataError:
    return DataError(
        f"{name} is {code!r}, which the model's vocabulary lacks; of this kind it has "
        f"{_known(text_format) or 'none'}"
    )


def _known(text_format: TextFormat) -> str:
    known = languages_of(text_format.source)
    more = f" and {len(known) - 12} more" if len(known) > 12 else ""
    return ", ".join(known[:12]) + more


def has_to_be_told(text_format: TextFormat) -> bool:
    """Tell whether the model was taught to begin with a language, and its folder names none."""
    return (
        told_language(text_format.target) is not None
        and not text_format.first
        and not is_language_id(text_format.target, text_format.settings.start_id)
    )
