"""Special tokens by role (BOS, EOS, UNK, SEP, PAD, CLS, MASK), and Hugging Face's keys for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from zhixing.errors import TokenizerError

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
