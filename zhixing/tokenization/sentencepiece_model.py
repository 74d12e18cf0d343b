"""A SentencePiece model file (unigram or BPE) as a tokenizer that gives the same ids."""

from typing import Any

from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend
from tokenizers.models import BPE, Unigram

from zhixing.errors import TokenizerError
from zhixing.tokenization.legacy import boundary_template, roles_of, separator_template
from zhixing.tokenization.settings import Settings

_SPACE = "▁"
_UNIGRAM, _BPE = 1, 2
_CONTROL, _USER_DEFINED = 3, 4
_TILDE, _SEPARATOR = "\ufdee", "\ufdef"

# The marks that Unicode composes with what stands before them, as a class of a regular expression.
_COMPOSING_MARKS = (
    r"\x{300}-\x{304}\x{306}-\x{30C}\x{30F}\x{311}\x{313}-\x{314}\x{31B}\x{323}-\x{328}"
    r"\x{32D}-\x{32E}\x{330}-\x{331}\x{338}\x{342}\x{345}\x{653}-\x{655}\x{93C}\x{9BE}\x{9D7}"
    r"\x{B3E}\x{B56}-\x{B57}\x{BBE}\x{BD7}\x{C56}\x{CC2}\x{CD5}-\x{CD6}\x{D3E}\x{D57}\x{DCA}"
    r"\x{DCF}\x{DDF}\x{102E}\x{1B35}\x{3099}-\x{309A}\x{110BA}\x{11127}\x{1133E}\x{11357}"
    r"\x{114B0}\x{114BA}\x{114BD}\x{115AF}\x{11930}"
)
_FAIRSEQ_SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")


def read_sentencepiece(content: bytes, settings: Settings, *, name: str) -> Backend:
    """Build a tokenizer from the content of a SentencePiece model, unigram or BPE.

    Ids are the model's own, with one exception. A model that starts with `<unk> <s> </s>`, has no
    padding and does not fall back to bytes is numbered as fairseq does it (XLM-R, mBART): `<s>`
    0, `<pad>` 1, `</s>` 2, `<unk>` 3, every other piece one higher than in the file, `<mask>`
    last.

    Raises:
        TokenizerError: It is damaged, or of a kind other than unigram and BPE.

    Source:
        Kudo and Richardson 2018, arXiv:1808.06226; Conneau et al. 2019, arXiv:1911.02116.
    """
    model = _parse(content, name)
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    is_fairseq = _is_fairseq(model)
    if is_fairseq:
        pieces = [*((text, 0.0) for text in _FAIRSEQ_SPECIAL_TOKENS), *pieces[3:], ("<mask>", 0.0)]
    extra = settings.values.get("extra_ids")
    if isinstance(extra, int):
        # T5's masks count backwards: the last piece of all is `<extra_id_0>`.
        pieces += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(extra))]
    unknown_id = 3 if is_fairseq else model.trainer_spec.unk_id
    backend = Backend(_algorithm(model, pieces, unknown_id))
    backend.normalizer = _normalizer(model.normalizer_spec)
    # "never", as the normalizer has put the first space there already.
    backend.pre_tokenizer = pre_tokenizers.Metaspace(
        replacement=_SPACE,
        prepend_scheme="never",
        split=model.trainer_spec.split_by_whitespace,
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace(_SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", int(model.normalizer_spec.add_dummy_prefix), 0),
        ]
    )
    vocabulary = {text: number for number, (text, _) in enumerate(pieces)}
    backend.post_processor = _post_processor(model, vocabulary, settings)
    for kind, add in ((_CONTROL, backend.add_special_tokens), (_USER_DEFINED, backend.add_tokens)):
        texts = [piece.piece for piece in model.pieces if piece.type == kind]
        add([AddedToken(text, normalized=False) for text in texts])
    return backend


def _parse(content: bytes, name: str) -> Any:
    # Imported here: protobuf takes a tenth of a second, and most folders need none.
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    # The module makes its classes as it is imported, unseen by a type checker.
    model: Any = vars(sentencepiece_model_pb2)["ModelProto"]()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise TokenizerError(
            f"{name} is damaged, or is no sentencepiece model ({error}); fetch it again"
        ) from error
    if not model.pieces:
        raise TokenizerError(f"{name} is a sentencepiece model without pieces; fetch it again")
    kind = model.trainer_spec.model_type
    if kind not in (_UNIGRAM, _BPE):
        raise TokenizerError(
            f"{name} is a sentencepiece model of kind {kind}; allowed are {_UNIGRAM} (unigram) and"
            f" {_BPE} (BPE), so train it again as one of them"
        )
    return model


def _is_fairseq(model: Any) -> bool:
    first = [piece.piece for piece in model.pieces[:3]]
    has_padding = any(piece.piece == "<pad>" for piece in model.pieces)
    falls_back = model.trainer_spec.byte_fallback
    return first == ["<unk>", "<s>", "</s>"] and not has_padding and not falls_back


def _algorithm(model: Any, pieces: list[tuple[str, float]], unknown_id: int) -> Unigram | BPE:
    falls_back = model.trainer_spec.byte_fallback
    if model.trainer_spec.model_type == _UNIGRAM:
        return Unigram(pieces, unk_id=unknown_id, byte_fallback=falls_back)
    vocabulary = {text: number for number, (text, _) in enumerate(pieces)}
    # sentencepiece merges whichever neighbours make the piece with the best score, so every way
    # of splitting a piece in two is a merge of that piece's rank.
    merges = [
        (-score, text[:cut], text[cut:])
        for text, score in pieces
        for cut in range(1, len(text))
        if text[:cut] in vocabulary and text[cut:] in vocabulary
    ]
    merges.sort(key=lambda merge: merge[0])
    return BPE(
        vocabulary,
        [(left, right) for _, left, right in merges],
        unk_token=pieces[unknown_id][0],
        fuse_unk=True,
        byte_fallback=falls_back,
    )


def _normalizer(spec: Any) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = []
    if "nfkc" in spec.name:
        steps += _composition()
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex("^ +| +$"), ""))
        steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(_SPACE))
    steps.append(normalizers.Replace(" ", _SPACE))
    return normalizers.Sequence(steps)


def _composition() -> list[normalizers.Normalizer]:
    """Compose decomposed letters, as the model's own map does by taking the longest match.

    `Precompiled` looks a letter and its marks up by the shortest match, and loses what follows:
    the marks of decomposed Vietnamese and Greek, the vowels of decomposed Korean. The reference
    library has this fault. Composing before it leaves it nothing to lose.

    NFKC does more than the map, though. It puts the marks of Hebrew and Arabic into another
    order: a separator, which is no character, keeps marks that never compose where they are. (Not
    before the first letter, where inserting makes the library fail.) And it replaces U+FF5E, which
    the map keeps: another such code point stands in for it.
    """
    fixed_mark = Regex(rf"(?<=.)(?=[\p{{M}}&&[^{_COMPOSING_MARKS}]])")
    return [
        normalizers.Replace("\uff5e", _TILDE),
        normalizers.Replace(fixed_mark, _SEPARATOR),
        normalizers.NFKC(),
        normalizers.Replace(_SEPARATOR, ""),
        normalizers.Replace(_TILDE, "\uff5e"),
    ]


def _post_processor(
    model: Any, vocabulary: dict[str, int], settings: Settings
) -> processors.PostProcessor:
    special = roles_of(vocabulary, settings)
    if _is_fairseq(model):
        return processors.TemplateProcessing(
            single="<s> $A </s>",
            pair="<s> $A </s> </s> $B </s>",
            special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])],
        )
    if special.classify in vocabulary and special.separator in vocabulary:
        return separator_template(special, vocabulary)
    # The file does not say what stands around a text. A model that can start a text does so
    # (Llama); one that cannot, ends it (T5).
    starts = model.trainer_spec.bos_id >= 0
    return boundary_template(
        special, vocabulary, settings, usual_start=starts, usual_end=not starts
    )
