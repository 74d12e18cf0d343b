"""Options of a prediction: fields of a dataclass that also say how the command line offers them."""

from dataclasses import field
from typing import Any


def option(default: Any, text: str, *, flag: str | None = None) -> Any:
    """Declare a field of an options dataclass that the command line offers, too.

    Args:
        default: Its value, unless it is set.
        text: One sentence for `--help`.
        flag: Its name on the command line; the field's own if unsaid.
    """
    told = {"help": text, "flag": flag}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=told)
    return field(default=default, metadata=told)
