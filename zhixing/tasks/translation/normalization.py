"""Punctuation made plain by Moses' rules, as it was before many Marian models were trained."""

import importlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from zhixing.errors import ConfigError


def normalized_punctuation(texts: Sequence[str], language: str) -> list[str]:
    """Make quotation marks, dashes and spaces around punctuation plain.

    Args:
        texts: Sentences.
        language: ISO 639-1 code; decides about quotes after commas, and about decimal commas.

    Raises:
        ConfigError: If the library that knows the rules is not installed.

    Source:
        `normalize-punctuation.perl` of Koehn et al. 2007, "Moses: open source toolkit for
        statistical machine translation", as sacremoses has it.
    """
    normalizer = _normalizer(language)
    return [normalizer.normalize(text) if text else text for text in texts]


@cache
def _normalizer(language: str) -> Any:
    try:
        library = importlib.import_module("sacremoses")
    except ImportError as error:
        raise ConfigError(
            "Moses' rules for punctuation come from sacremoses, which is not installed; run: "
            "pip install sacremoses"
        ) from error
    return library.MosesPunctNormalizer(language)
