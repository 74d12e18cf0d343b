"""WordPiece and byte-level BPE tokenizers from vocab.txt, or vocab.json with merges.txt."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, WordPiece

from zhixing.errors import TokenizerError
from zhixing.tokenization.settings import (
    Settings,
    SpecialTokens,
    guess_special_tokens,
    read_object,
    read_text,
)


def read_word_pieces(path: Path, settings: Settings) -> Backend:
    """Build BERT's WordPiece tokenizer from a `vocab.txt`, whose line numbers are the ids.

    Lowercasing is on unless a file switches it off; accents go with it unless a file says
    otherwise; Chinese characters are words of their own.

    Raises:
        FileError: The file cannot be read.
        TokenizerError: It is not UTF-8, a line is empty or there twice, or a token that the
            template needs is absent.

    Source:
        Devlin et al. 2018, arXiv:1810.04805, and the tokenizer published with it. A word of more
        than 100 characters is unknown, as in the reference library; the original allowed 200.
    """
    # Only the line feed ends a line: some vocabularies hold U+2028 and U+0085 as pieces.
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    if lines[-1] == "":
        lines.pop()
    _refuse_bad_lines(lines, path)
    vocabulary = {piece: number for number, piece in enumerate(lines)}
    special = roles_of(vocabulary, settings)
    needed = {"unknown": "[UNK]", "classify": "[CLS]", "separator": "[SEP]"}
    absent = [
        getattr(special, role) or usual
        for role, usual in needed.items()
        if (getattr(special, role) or usual) not in vocabulary
    ]
    if absent:
        raise TokenizerError(
            f"{path} has no line {' and no line '.join(absent)}, which BERT's template needs; name"
            " the tokens that play these roles in special_tokens_map.json"
        )
    backend = Backend(
        WordPiece(vocabulary, unk_token=special.unknown, max_input_chars_per_word=100)
    )
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.flag("tokenize_chinese_chars", True),
        strip_accents=settings.optional_flag("strip_accents", None),
        lowercase=settings.flag("do_lower_case", True),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    backend.post_processor = separator_template(special, vocabulary)
    return backend


def read_byte_pairs(vocab_path: Path, merges_path: Path, settings: Settings) -> Backend:
    """Build GPT-2's or RoBERTa's byte-level BPE tokenizer from `vocab.json` and `merges.txt`.

    The template is RoBERTa's where the vocabulary has tokens that classify and separate; else
    texts stand alone, unless a file asks for `add_bos_token` or `add_eos_token`.

    Raises:
        FileError: A file cannot be read.
        TokenizerError: A file is not UTF-8, the JSON is damaged, ids are missing or there twice,
            or a merge needs a piece that the vocabulary lacks.

    Source:
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
    """
    vocabulary = read_object(vocab_path)
    _refuse_bad_ids(vocabulary, vocab_path)
    merges = _read_merges(merges_path, vocabulary)
    add_prefix_space = settings.flag("add_prefix_space", False)
    backend = Backend(BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.decoder = decoders.ByteLevel()
    special = roles_of(vocabulary, settings)
    classify, separator = special.classify, special.separator
    if classify in vocabulary and separator in vocabulary:
        backend.post_processor = processors.RobertaProcessing(
            (separator, vocabulary[separator]),
            (classify, vocabulary[classify]),
            trim_offsets=True,
            add_prefix_space=add_prefix_space,
        )
    else:
        backend.post_processor = boundary_template(special, vocabulary, settings)
    return backend


def roles_of(vocabulary: Mapping[str, int], settings: Settings) -> SpecialTokens:
    """Give the special tokens that the files name, and the usual ones for those they do not."""
    return settings.special.or_else(guess_special_tokens(vocabulary.__contains__))


def separator_template(
    special: SpecialTokens, vocabulary: Mapping[str, int]
) -> processors.PostProcessor:
    """Build BERT's template, `[CLS] a [SEP] b [SEP]` with token types 0 and 1."""
    classify, separator = str(special.classify), str(special.separator)
    return processors.TemplateProcessing(
        single=f"{classify}:0 $A:0 {separator}:0",
        pair=f"{classify}:0 $A:0 {separator}:0 $B:1 {separator}:1",
        special_tokens=[(text, vocabulary[text]) for text in (classify, separator)],
    )


def boundary_template(
    special: SpecialTokens,
    vocabulary: Mapping[str, int],
    settings: Settings,
    *,
    usual_start: bool = False,
    usual_end: bool = False,
) -> processors.PostProcessor:
    """Build a template of a start (BOS) and an end (EOS) token around each text, where wanted."""
    start = special.start if settings.flag("add_bos_token", usual_start) else None
    end = special.end if settings.flag("add_eos_token", usual_end) else None
    used = [text for text in (start, end) if text is not None and text in vocabulary]
    sides = {
        name: [*([start] if start in used else []), name, *([end] if end in used else [])]
        for name in ("$A", "$B")
    }
    return processors.TemplateProcessing(
        single=[f"{token}:0" for token in sides["$A"]],
        pair=[f"{token}:0" for token in sides["$A"]] + [f"{token}:1" for token in sides["$B"]],
        special_tokens=[(text, vocabulary[text]) for text in dict.fromkeys(used)],
    )


def _refuse_bad_lines(lines: list[str], path: Path) -> None:
    if len(set(lines)) == len(lines) and "" not in lines:
        return
    first: dict[str, int] = {}
    for number, piece in enumerate(lines, start=1):
        if piece == "":
            raise TokenizerError(
                f"{path} is empty in line {number}, so that id {number - 1} has no piece; fetch the"
                " file again, or write the piece there"
            )
        if piece in first:
            raise TokenizerError(
                f"{path} has {piece!r} in lines {first[piece]} and {number}, but a piece has one"
                " id; fetch the file again, or give one of them another text"
            )
        first[piece] = number


def _refuse_bad_ids(vocabulary: Mapping[str, Any], path: Path) -> None:
    for piece, token_id in vocabulary.items():
        if not isinstance(token_id, int) or isinstance(token_id, bool) or token_id < 0:
            raise TokenizerError(
                f"{path} gives {piece!r} the id {token_id!r}; ids are whole numbers from 0 on,"
                " fetch the file again"
            )
    counts = Counter(vocabulary.values())
    twice = next((token_id for token_id, count in counts.items() if count > 1), None)
    if twice is not None:
        pieces = [piece for piece, token_id in vocabulary.items() if token_id == twice]
        raise TokenizerError(
            f"{path} gives the id {twice} to {pieces}, but an id has one piece; fetch the file"
            " again"
        )
    gap = next((number for number in range(len(counts)) if number not in counts), None)
    if gap is not None:
        raise TokenizerError(
            f"{path} has no piece with id {gap}, though its ids go up to {max(counts)}; fetch the"
            " file again"
        )


def _read_merges(path: Path, vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    merges = []
    for number, line in enumerate(lines, start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        parts = line.split(" ")
        if len(parts) != 2:
            raise TokenizerError(
                f"{path} has {line!r} in line {number}, which is not two pieces with a space"
                " between them; fetch the file again"
            )
        left, right = parts
        if left not in vocabulary or right not in vocabulary or left + right not in vocabulary:
            absent = [piece for piece in (left, right, left + right) if piece not in vocabulary]
            raise TokenizerError(
                f"{path} merges {left!r} and {right!r} in line {number}, but the vocabulary has no"
                f" {absent[0]!r}; the two files do not belong together, fetch both again"
            )
        merges.append((left, right))
    return merges
