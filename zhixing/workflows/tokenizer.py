"""Learn a vocabulary from a person's texts."""

from pathlib import Path
from typing import get_args

from zhixing.checkpoints.files import whole_folder
from zhixing.data.readers import stream_tables
from zhixing.data.roles import Columns
from zhixing.errors import ConfigError
from zhixing.tokenization.files import save_tokenizer
from zhixing.tokenization.tokenizer import Tokenizer
from zhixing.tokenization.training import Kind, train_tokenizer


def learn_vocabulary(
    data: object,
    *,
    out: str | Path,
    kind: Kind = "wordpiece",
    vocab_size: int = 8000,
    lowercase: bool = False,
    min_frequency: int = 2,
    text: str | None = None,
    overwrite: bool = False,
) -> Tokenizer:
    """Learn a vocabulary and keep it in a folder that a training can start from.

    Texts are read piece by piece, so that a corpus may be larger than the memory.

    Raises:
        ConfigError: If the kind is unknown.
        DataError: If there are no texts.
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"kind is {kind!r}; allowed are {', '.join(get_args(Kind))}")
    tables = stream_tables(data, columns=Columns(text=text))
    tokenizer = train_tokenizer(
        (line for table in tables for line in table.texts),
        kind=kind,
        vocab_size=vocab_size,
        lowercase=lowercase,
        min_frequency=min_frequency,
    )
    with whole_folder(Path(out), overwrite=overwrite) as folder:
        save_tokenizer(tokenizer, folder)
    return tokenizer
