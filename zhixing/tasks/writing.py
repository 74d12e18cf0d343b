"""From a loaded model folder to how its model reads and writes."""

import re

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.generation.settings import read_settings
from zhixing.tasks.text_to_text import Voice

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


def voice_of(pretrained: Pretrained) -> Voice:
    """Tell how a model reads and writes, by what its folder says.

    Raises:
        ConfigError: If the folder does not say how to start and end.
    """
    settings = read_settings(pretrained.values, pretrained.generation)
    first = () if settings.forced_first_id is None else (settings.forced_first_id,)
    target = pretrained.target_tokenizer or pretrained.tokenizer
    return Voice(pretrained.tokenizer, target, settings, first=first)
