"""A tokenizer's settings: tokenizer_config.json, special_tokens_map.json, added_tokens.json."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from zhixing.errors import FileError, TokenizerError

# In the order in which the reference library appends roles that a vocabulary lacks: the ids of
# appended tokens follow from it.
HUGGING_FACE_KEYS = {
    "start": "bos_token",
    "end": "eos_token",
    "unknown": "unk_token",
    "separator": "sep_token",
    "padding": "pad_token",
    "classify": "cls_token",
    "mask": "mask_token",
}
ADDITIONAL_KEYS = ("additional_special_tokens", "extra_special_tokens")

_USUAL_TEXTS = {
    "start": ("<s>", "<|endoftext|>"),
    "end": ("</s>", "<|endoftext|>"),
    "unknown": ("[UNK]", "<unk>"),
    "separator": ("[SEP]",),
    "padding": ("[PAD]", "<pad>"),
    "classify": ("[CLS]",),
    "mask": ("[MASK]", "<mask>"),
}


@dataclass(frozen=True)
class SpecialTokens:
    """The texts of the special tokens; a role that a tokenizer lacks is `None`.

    One text may play several roles: in RoBERTa `<s>` starts a text and classifies it, and `</s>`
    ends and separates. Ids are asked of the `Tokenizer`.

    Args:
        start: First token of a text that is generated or read (`bos_token`).
        end: Last token of a text that is generated (`eos_token`).
        unknown: Stands for what the vocabulary cannot spell (`unk_token`).
        separator: Stands after each text of an input: `[SEP]`, `</s>` (`sep_token`).
        padding: Fills rectangles in other programs; this one never pads (`pad_token`).
        classify: Its hidden state speaks for the whole input: `[CLS]`, `<s>` (`cls_token`).
        mask: Stands for a token that is to be guessed (`mask_token`).
        additional: Further special tokens, without a role that the library knows.
    """

    start: str | None = None
    end: str | None = None
    unknown: str | None = None
    separator: str | None = None
    padding: str | None = None
    classify: str | None = None
    mask: str | None = None
    additional: tuple[str, ...] = ()

    def roles(self) -> dict[str, str]:
        """Give the text of each role that is filled, without the additional tokens.

        Example:
            >>> SpecialTokens(mask="[MASK]").roles()
            {'mask': '[MASK]'}
        """
        texts = {role: getattr(self, role) for role in HUGGING_FACE_KEYS}
        return {role: text for role, text in texts.items() if text is not None}

    def texts(self) -> tuple[str, ...]:
        """Give every special text once, roles first."""
        return tuple(dict.fromkeys([*self.roles().values(), *self.additional]))

    def or_else(self, other: "SpecialTokens") -> "SpecialTokens":
        """Fill the roles that are empty here with those of another."""
        empty = [field.name for field in fields(self) if not getattr(self, field.name)]
        return replace(self, **{name: getattr(other, name) for name in empty})

    def to_hugging_face(self) -> dict[str, str | list[str]]:
        """Give the entries of `special_tokens_map.json` that say the same.

        Example:
            >>> SpecialTokens(classify="[CLS]", additional=("[USER]",)).to_hugging_face()
            {'cls_token': '[CLS]', 'additional_special_tokens': ['[USER]']}
        """
        entries: dict[str, str | list[str]] = {
            HUGGING_FACE_KEYS[role]: text for role, text in self.roles().items()
        }
        if self.additional:
            entries[ADDITIONAL_KEYS[0]] = list(self.additional)
        return entries


def from_hugging_face(values: Mapping[str, Any], *, where: str) -> SpecialTokens:
    """Read the special tokens of a `tokenizer_config.json` or `special_tokens_map.json`.

    A token may be a text or an object with a `content`; messages call the file `where`.

    Raises:
        TokenizerError: A role holds neither a text nor such an object.
    """
    roles = {
        role: token_text(values[key], where=f"{where}, {key}")
        for role, key in HUGGING_FACE_KEYS.items()
        if values.get(key) is not None
    }
    additional = [
        token_text(value, where=f"{where}, {key}")
        for key in ADDITIONAL_KEYS
        for value in _as_list(values.get(key))
    ]
    return SpecialTokens(**roles, additional=tuple(dict.fromkeys(additional)))


def token_text(value: object, *, where: str) -> str:
    """Give the text of a special token, which Hugging Face's files write in two ways.

    Raises:
        TokenizerError: It is neither a text nor an object with a `content`.
    """
    content = value.get("content") if isinstance(value, Mapping) else value
    if not isinstance(content, str) or not content:
        raise TokenizerError(
            f"{where}: a special token is {value!r}, which is neither a text nor an object with a"
            f" 'content'; write the token's text there, for example \"[MASK]\""
        )
    return content


def guess_special_tokens(is_piece: Callable[[str], bool]) -> SpecialTokens:
    """Guess the special tokens by their usual texts, where no file names them.

    `<s>` and `</s>` classify and separate only in a vocabulary that has `<mask>`: encoders have
    one; translation and language models start and end with these tokens, and have none.

    Example:
        >>> guess_special_tokens({"[PAD]", "[UNK]", "[SEP]", "the"}.__contains__).separator
        '[SEP]'
    """
    texts_by_role: dict[str, Any] = {
        role: next((text for text in texts if is_piece(text)), None)
        for role, texts in _USUAL_TEXTS.items()
    }
    guess = SpecialTokens(**texts_by_role)
    if guess.mask == "<mask>":
        pair = SpecialTokens(classify=guess.start, separator=guess.end)
        return guess.or_else(pair)
    return guess


def _as_list(value: object) -> list[object]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]


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
