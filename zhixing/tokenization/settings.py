"""A tokenizer's settings: tokenizer_config.json, special_tokens_map.json, added_tokens.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from zhixing.errors import FileError, TokenizerError
from zhixing.tokenization.special_tokens import (
    ADDITIONAL_KEYS,
    HUGGING_FACE_KEYS,
    SpecialTokens,
    from_hugging_face,
    token_text,
)

CONFIG_FILE = "tokenizer_config.json"
TOKENS_MAP_FILE = "special_tokens_map.json"
ADDED_TOKENS_FILE = "added_tokens.json"

_MATCHING_OPTIONS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class Settings:
    """The settings stated for a tokenizer; what no file states is left out.

    Args:
        values: `tokenizer_config.json`, with `special_tokens_map.json` laid over it.
        special: The roles that they name.
        matching: How special tokens that are objects, not texts, are matched in a text.
        added: Tokens with a stated id, in the order of their ids.
    """

    values: Mapping[str, Any]
    special: SpecialTokens
    matching: Mapping[str, AddedToken]
    added: Mapping[int, AddedToken]

    def flag(self, name: str, usual: bool) -> bool:
        """Give a boolean setting, or what is usual where the files say nothing or null.

        Raises:
            TokenizerError: It is neither true, false nor null.
        """
        value = self.optional_flag(name, usual)
        return usual if value is None else value

    def optional_flag(self, name: str, usual: bool | None) -> bool | None:
        """Give a setting that is true, false or null, or what is usual where the files are silent.

        Raises:
            TokenizerError: It is neither true, false nor null.
        """
        value = self.values.get(name, usual)
        if value is not None and not isinstance(value, bool):
            raise TokenizerError(
                f"{CONFIG_FILE}: {name} is {value!r}, allowed are true and false; correct the file"
            )
        return value

    @property
    def max_length(self) -> int | None:
        """Give `model_max_length`: how many tokens the files say the model takes, or `None`.

        The reference library writes 10^30 where it knows none. Older files say `max_len`.
        """
        value = self.values.get("model_max_length", self.values.get("max_len"))
        is_length = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9
        return value if is_length else None


def read_settings(folder: Path) -> Settings:
    """Read a tokenizer's settings from the JSON files beside its vocabulary; each may be absent.

    Raises:
        FileError: A file cannot be read.
        TokenizerError: A file is damaged, or a token in it is neither a text nor an object.
    """
    values = _read_optional(folder / CONFIG_FILE)
    stated = values.get("added_tokens_decoder")
    if stated is None:
        # As in the reference library: a configuration that lists its added tokens is the newer
        # of the two files, and the older one is not looked at.
        values = {**values, **_read_optional(folder / TOKENS_MAP_FILE)}
        added = _numbered(_read_optional(folder / ADDED_TOKENS_FILE), folder)
    else:
        added = _stated(stated, folder)
    special = from_hugging_face(values, where=str(folder / CONFIG_FILE))
    keys = [*HUGGING_FACE_KEYS.values(), *ADDITIONAL_KEYS]
    objects = [value for key in keys for value in _flatten(values.get(key))]
    matching = {str(value["content"]): _added_token(value) for value in objects}
    return Settings(values, special, matching, dict(sorted(added.items())))


def read_text(path: Path) -> str:
    """Read a file as UTF-8, with its line ends as they are.

    Raises:
        FileError: It cannot be read.
        TokenizerError: It is not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise TokenizerError(
            f"{path} is not UTF-8: byte {error.object[error.start]:#04x} at position"
            f" {error.start}; save it as UTF-8, or fetch it again"
        ) from error


def read_bytes(path: Path) -> bytes:
    """Read a file as bytes.

    Raises:
        FileError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}); check the path") from error


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file whose top is an object in which no key comes twice.

    Raises:
        FileError: It cannot be read.
        TokenizerError: It is not UTF-8, not JSON, not an object, or repeats a key.
    """
    try:
        value = json.loads(read_text(path), object_pairs_hook=lambda pairs: _unique(pairs, path))
    except json.JSONDecodeError as error:
        raise TokenizerError(
            f"{path} is damaged: line {error.lineno}, column {error.colno}: {error.msg}; fetch it"
            " again"
        ) from error
    if not isinstance(value, dict):
        raise TokenizerError(
            f"{path} holds a {type(value).__name__} where an object is needed; fetch it again"
        )
    return value


def _unique(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise TokenizerError(f"{path} has the key {twice!r} twice; remove one of them")
    return result


def _read_optional(path: Path) -> dict[str, Any]:
    return read_object(path) if path.exists() else {}


def _flatten(value: object) -> list[Mapping[str, Any]]:
    """Give the tokens that are objects: one, a list of them, or a table of them."""
    if isinstance(value, Mapping):
        if "content" in value:
            return [value]
        value = list(value.values())
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _added_token(value: Mapping[str, Any]) -> AddedToken:
    options = {name: bool(value[name]) for name in _MATCHING_OPTIONS if name in value}
    return AddedToken(str(value["content"]), **{"special": True, "normalized": False, **options})


def _stated(table: object, folder: Path) -> dict[int, AddedToken]:
    where = f"{folder / CONFIG_FILE}, added_tokens_decoder"
    if not isinstance(table, Mapping) or not all(str(key).isdecimal() for key in table):
        raise TokenizerError(f"{where} is not an object from ids to tokens; fetch it again")
    result = {}
    for key, value in table.items():
        text = token_text(value, where=f"{where}, {key}")
        token = _added_token(value) if isinstance(value, Mapping) else AddedToken(text)
        result[int(key)] = token
    return result


def _numbered(table: Mapping[str, Any], folder: Path) -> dict[int, AddedToken]:
    for text, token_id in table.items():
        if not isinstance(token_id, int) or isinstance(token_id, bool) or token_id < 0:
            raise TokenizerError(
                f"{folder / ADDED_TOKENS_FILE} gives {text!r} the id {token_id!r}; ids are whole"
                " numbers from 0 on, correct the file"
            )
    return {token_id: AddedToken(text) for text, token_id in table.items()}
