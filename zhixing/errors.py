"""Every exception that the project raises on purpose.

A message is one sentence: what, where, what is allowed, what to do next. The command line prints it
and ends with status 2; nothing is ever printed with a traceback that a person could have mended.
"""


class ZhixingError(Exception):
    """Tell that something outside the program has to change before it can go on."""


class ConfigError(ZhixingError, ValueError):
    """A setting is unknown, out of range, or contradicts another."""


class DataError(ZhixingError, ValueError):
    """A table, a row or a text is not what the task needs."""


class TokenizerError(ZhixingError, ValueError):
    """A tokenizer file is missing, damaged, or does not fit its model."""


class CheckpointError(ZhixingError, ValueError):
    """A model folder is incomplete, damaged, unsafe, or of another shape."""


class FileError(ZhixingError, OSError):
    """A file or folder cannot be read or written."""


class TrainingError(ZhixingError, ArithmeticError):
    """A training run cannot go on: its loss is not a number, or has exploded."""
