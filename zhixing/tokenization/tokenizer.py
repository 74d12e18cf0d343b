"""The tokenizer: text to token ids and back, with the offsets of every token in the text."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tokenizers
from tokenizers import AddedToken
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing

from zhixing.errors import DataError, TokenizerError
from zhixing.tokenization.special_tokens import HUGGING_FACE_KEYS, SpecialTokens

# Ids that no vocabulary reaches: they mark the places of the two texts in a template.
_FIRST_ID, _SECOND_ID = 2**32 - 2, 2**32 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text with their ids and offsets, without special tokens around it.

    Args:
        ids: One id a token.
        pieces: The vocabulary's own spelling of each token (`##ing`, `Ġthe`, `▁de`).
        offsets: First and one past the last character of each token, counted in the characters
            of the text as it was given. Tokens that are parts of one character share its place;
            a byte-level or sentencepiece token may include the space before its word, and a
            combining mark at the end of a token may be left outside.
    """

    ids: list[int]
    pieces: list[str]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True)
class Wrapped:
    """Input ids and token types of one or two texts with their special tokens."""

    input_ids: list[int]
    token_type_ids: list[int]


class _Part(NamedTuple):
    """A stretch of a template: fixed ids, or the place of the first or second text."""

    fixed: tuple[int, ...]
    text: int | None
    token_type: int


class Tokenizer:
    """Encode texts into token ids as the reference library does; never truncate or pad them.

    A special token that is spelled out in a text (`"[MASK]"`) becomes that token, as in the
    reference library; whoever reads texts of strangers can look for `special.texts()` in them.

    The object never changes after it is built, so that threads may share it.

    Args:
        backend: Taken over: its truncation and padding are switched off for good.
        special: The roles; every text must be in the vocabulary.
        max_length: How many tokens the tokenizer's files say that the model takes. Nothing here
            obeys it.

    Attributes:
        vocab_size: Largest id + 1, with added tokens.
        special: The roles and their texts.
        max_length: As given.
        start_id: Id of the role, as are the six below; `None` where the role is absent.

    Raises:
        TokenizerError: A role's text is not in the vocabulary.

    Example:
        >>> words = tokenizers.Tokenizer(WordLevel({"[UNK]": 0, "hello": 1}, unk_token="[UNK]"))
        >>> Tokenizer(words, SpecialTokens(unknown="[UNK]")).ids(["hello", "goodbye", ""])
        [[1], [0], []]
    """

    start_id: int | None
    end_id: int | None
    unknown_id: int | None
    separator_id: int | None
    padding_id: int | None
    classify_id: int | None
    mask_id: int | None

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        special: SpecialTokens | None = None,
        *,
        max_length: int | None = None,
    ) -> None:
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self.special = special or SpecialTokens()
        self.max_length = max_length
        self.vocab_size: int = 1 + max(
            backend.get_vocab(with_added_tokens=True).values(), default=-1
        )
        missing = [text for text in self.special.texts() if backend.token_to_id(text) is None]
        if missing:
            raise TokenizerError(
                f"the special tokens {missing} are not among the {self.vocab_size} pieces of the"
                " vocabulary; add them to it, or leave their roles empty"
            )
        roles = self.special.roles()
        for role in HUGGING_FACE_KEYS:
            token_id = backend.token_to_id(roles[role]) if role in roles else None
            setattr(self, f"{role}_id", token_id)
        self._single = _template(backend, pair=False)
        self._pair = _template(backend, pair=True)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode many texts into token ids at once, on all cores, without special tokens.

        A text is never cut, and none that is empty has ids.

        Raises:
            DataError: A text holds a lone surrogate, or `texts` is one text.
        """
        refuse_one_text(texts)
        try:
            encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError as error:
            for row, text in enumerate(texts):
                refuse_surrogates(text, name=f"text {row}", cause=error)
            raise
        return [encoding.ids for encoding in encodings]

    def tokens(self, text: str) -> Tokens:
        """Give the tokens of one text with their offsets, without special tokens.

        Raises:
            DataError: The text holds a lone surrogate.
        """
        try:
            encoding = self._backend.encode(text, add_special_tokens=False)
        except TypeError as error:
            refuse_surrogates(text, name="the text", cause=error)
            raise
        # `encoding.tokens` has the text's own spelling of special tokens, such as " <mask>".
        pieces = [str(self._backend.id_to_token(token_id)) for token_id in encoding.ids]
        return Tokens(encoding.ids, pieces, encoding.offsets)

    def wrap(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Wrapped:
        """Put the model's special tokens around one text, or around two.

        The template is the tokenizer file's own: BERT's `[CLS] a [SEP] b [SEP]` with types 0 and
        1, RoBERTa's `<s> a </s></s> b </s>` with type 0 throughout, or nothing at all.
        """
        input_ids: list[int] = []
        token_type_ids: list[int] = []
        for fixed, text, token_type in self._single if pair is None else self._pair:
            part_ids = fixed if text is None else ids if text == 0 or pair is None else pair
            input_ids += part_ids
            token_type_ids += [token_type] * len(part_ids)
        return Wrapped(input_ids, token_type_ids)

    def with_codes(self, codes: Sequence[str]) -> "Tokenizer":
        """Give a tokenizer that also knows language codes, such as `>>fra<<`, as special tokens.

        White space after a code belongs to it; decoding leaves codes out.
        """
        backend = tokenizers.Tokenizer.from_str(self._backend.to_str())
        backend.add_special_tokens(
            [AddedToken(code, rstrip=True, normalized=False) for code in codes]
        )
        return Tokenizer(backend, self.special, max_length=self.max_length)

    def with_only_end(self) -> "Tokenizer":
        """Give a tokenizer of the same pieces that adds only the end-of-sequence token to a text.

        Raises:
            TokenizerError: If there is no token for the end.
        """
        end = self.special.end or self.special.separator
        end_id = None if end is None else self.id_of(end)
        if end_id is None:
            raise TokenizerError("the vocabulary has no token that ends a text; name one as `end`")
        backend = tokenizers.Tokenizer.from_str(self.to_json())
        backend.post_processor = TemplateProcessing(
            single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, end_id)]
        )
        return Tokenizer(backend, self.special, max_length=self.max_length)

    def num_special(self, *, pair: bool) -> int:
        """Count the special tokens that `wrap` puts around one text, or around two."""
        return sum(len(part.fixed) for part in (self._pair if pair else self._single))

    @property
    def has_token_types(self) -> bool:
        """Tell whether the model was trained to tell two texts apart by their token types.

        A tokenizer that classifies nothing numbers two texts, too, but its model knows no types.
        """
        return self.classify_id is not None and any(part.token_type for part in self._pair)

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """Decode ids into text, without special tokens unless they are asked for.

        Byte-level tokenizers give back the very text; others what their normalizer left of it,
        with spaces at the usual places. Ids beyond the vocabulary have no text and add none: a
        model's table of embeddings is often rounded up to more rows than there are pieces.
        """
        return str(self._backend.decode(list(ids), skip_special_tokens=not keep_special))

    def piece(self, token_id: int) -> str:
        """Give the piece of a token id: the vocabulary's own spelling.

        Raises:
            TokenizerError: No piece has this id.
        """
        piece = self.piece_or_none(token_id)
        if piece is None:
            raise TokenizerError(
                f"token id {token_id} has no piece; the vocabulary's ids are 0 to"
                f" {self.vocab_size - 1}"
            )
        return piece

    def piece_or_none(self, token_id: int) -> str | None:
        """Give the piece of a token id, `None` where no piece has this id."""
        piece: str | None = self._backend.id_to_token(token_id) if token_id >= 0 else None
        return piece

    def id_of(self, piece: str) -> int | None:
        """Give the id of a piece in the vocabulary's own spelling, `None` where it has none."""
        token_id: int | None = self._backend.token_to_id(piece)
        return token_id

    def to_json(self, *, pretty: bool = False) -> str:
        """Serialize all that decides about ids as the content of a `tokenizer.json`."""
        return str(self._backend.to_str(pretty=pretty))

    def fingerprint(self) -> str:
        """Give a sha256 over the serialized tokenizer: equal fingerprints give equal ids."""
        # Scores are compared by the nine digits that single precision has: the library that
        # writes and reads them may change the last digit on the way.
        content = json.loads(self.to_json(), parse_float=lambda score: f"{float(score):.9g}")
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def refuse_one_text(texts: object) -> None:
    """Refuse a text where a list of them is needed: it would be read letter by letter.

    Raises:
        DataError: `texts` is one text.
    """
    if isinstance(texts, str):
        raise DataError(
            f"texts is one text, {texts[:40]!r}, where a list of texts is needed; put it in"
            " brackets"
        )


def digest_of(files: Mapping[str, bytes], more: str = "") -> str:
    """Give a sha256 over files' names and contents, and over something more."""
    digest = hashlib.sha256(more.encode())
    for name, content in sorted(files.items()):
        digest.update(name.encode() + len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def refuse_surrogates(text: str, *, name: str, cause: BaseException | None = None) -> None:
    """Refuse a text with half of a surrogate pair, which has no bytes in UTF-8.

    Raises:
        DataError: The position and the code of the first such character.
    """
    if not isinstance(text, str):
        return
    surrogate = _SURROGATE.search(text)
    if surrogate is not None:
        raise DataError(
            f"{name} has a lone surrogate, U+{ord(surrogate.group()):04X}, at character"
            f" {surrogate.start()}, which is no character; replace it, for example with U+FFFD"
        ) from cause


def _template(backend: tokenizers.Tokenizer, *, pair: bool) -> tuple[_Part, ...]:
    # A probe, rather than a reading of the serialized post-processor, knows every kind of
    # post-processor and every sequence of them.
    probe = tokenizers.Tokenizer(WordLevel({"a": _FIRST_ID, "b": _SECOND_ID}, unk_token="a"))
    if backend.post_processor is not None:
        probe.post_processor = backend.post_processor
    encoding = probe.encode("a", "b") if pair else probe.encode("a")
    parts: list[_Part] = []
    for token_id, token_type in zip(encoding.ids, encoding.type_ids, strict=True):
        if token_id >= _FIRST_ID:
            parts.append(_Part((), token_id - _FIRST_ID, token_type))
        elif parts and parts[-1].text is None and parts[-1].token_type == token_type:
            parts[-1] = _Part((*parts[-1].fixed, token_id), None, token_type)
        else:
            parts.append(_Part((token_id,), None, token_type))
    return tuple(parts)
