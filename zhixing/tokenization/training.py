"""Train a tokenizer: learn a WordPiece, byte-level BPE or unigram vocabulary from texts."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from sentencepiece import SentencePieceTrainer
from tokenizers import AddedToken, decoders, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend
from tokenizers.models import BPE, WordPiece
from tokenizers.trainers import BpeTrainer, WordPieceTrainer

from zhixing.errors import ConfigError, DataError
from zhixing.tokenization.legacy import separator_template
from zhixing.tokenization.sentencepiece_model import read_sentencepiece
from zhixing.tokenization.settings import Settings, SpecialTokens
from zhixing.tokenization.tokenizer import Tokenizer, refuse_surrogates

Kind = Literal["wordpiece", "byte_bpe", "unigram"]

_BERT_ROLES = SpecialTokens(
    unknown="[UNK]", separator="[SEP]", padding="[PAD]", classify="[CLS]", mask="[MASK]"
)
_ROBERTA_ROLES = SpecialTokens(
    start="<s>",
    end="</s>",
    unknown="<unk>",
    separator="</s>",
    padding="<pad>",
    classify="<s>",
    mask="<mask>",
)
_BERT_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# fairseq's order; the mask, unlike the others, comes last of all.
_ROBERTA_PIECES = ["<s>", "<pad>", "</s>", "<unk>"]
# The same on every machine, as sums of floats depend on how many threads share them.
_NUM_THREADS = 4
_SILENT_LOG_LEVEL = 2


def train_tokenizer(
    texts: Iterable[str],
    *,
    kind: Kind,
    vocab_size: int,
    lowercase: bool = False,
    min_frequency: int = 2,
    only_ends: bool = False,
) -> Tokenizer:
    """Train a tokenizer of at most `vocab_size` pieces, special tokens among them.

    Args:
        texts: Read once, one at a time.
        kind: "wordpiece" gives BERT's roles and template, and makes every Chinese character a
            word; "byte_bpe" gives RoBERTa's, and can spell any text; "unigram" gives XLM-R's.
        vocab_size: Upper limit; few texts may not fill it.
        lowercase: Read capital letters as small ones. "wordpiece" then drops accents, too.
        min_frequency: How often a pair of pieces must occur to become one; "unigram" has no
            pairs, and does not ask.
        only_ends: Put the end alone around a text, as translators read and write it.

    Raises:
        ConfigError: `vocab_size` does not hold the special tokens and the characters, or
            `min_frequency` is below 1.
        DataError: There is no text, or one holds a lone surrogate.

    Source:
        Schuster and Nakajima 2012, "Japanese and Korean TextFormat Search" (WordPiece; pairs are
        chosen by frequency, as in BPE); Sennrich et al. 2016, arXiv:1508.07909 (BPE); Kudo 2018,
        arXiv:1804.10959 (unigram).

    Example:
        >>> tokenizer = train_tokenizer(["low lower lowest"] * 9, kind="wordpiece", vocab_size=40)
        >>> tokenizer.tokens("Low lower").pieces
        ['[UNK]', 'lower']
    """
    fixed = len(_BERT_PIECES) + (256 if kind == "byte_bpe" else 0)
    if vocab_size <= fixed:
        raise ConfigError(
            f"vocab_size is {vocab_size}, but {kind} needs {fixed} pieces before it learns the"
            f" first; choose at least {fixed + 1}, and some thousands for real texts"
        )
    if min_frequency < 1:
        raise ConfigError(f"min_frequency is {min_frequency}; choose 1 or more")
    learn = {"wordpiece": _word_pieces, "byte_bpe": _byte_pairs, "unigram": _unigram}[kind]
    tokenizer = learn(_Checked(texts), vocab_size, lowercase, min_frequency)
    if tokenizer.vocab_size > vocab_size:
        raise ConfigError(
            f"vocab_size is {vocab_size}, but the characters of these texts alone take"
            f" {tokenizer.vocab_size} pieces; choose more, or kind='byte_bpe', which spells every"
            " character with 256"
        )
    return tokenizer.with_only_end() if only_ends else tokenizer


class _Checked:
    """Hand on texts, and remember whether there was anything in them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.is_blank = True

    def __iter__(self) -> Iterator[str]:
        for row, text in enumerate(self._texts):
            refuse_surrogates(text, name=f"text {row}")
            self.is_blank = self.is_blank and not text.strip()
            yield text
        if self.is_blank:
            raise DataError("texts holds nothing but blanks; give at least one text to learn from")


def _word_pieces(
    texts: _Checked, vocab_size: int, lowercase: bool, min_frequency: int
) -> Tokenizer:
    normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lowercase
    )
    words = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        normal = normalizer.normalize_str(text)
        counts.update(word for word, _ in words.pre_tokenize_str(normal))
    # The trainer numbers the characters inside words as it meets them, in an order that changes
    # from run to run, and breaks ties between pairs by these numbers. Given to it beforehand,
    # in order, they make the same vocabulary of the same texts every time.
    inner = sorted({character for word in counts for character in word[1:]})
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*_BERT_PIECES, *(f"##{character}" for character in inner)],
        show_progress=False,
    )
    learner = Backend(WordPiece(unk_token="[UNK]"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(_repeated(counts), trainer)
    vocabulary = learner.get_vocab()
    backend = Backend(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer = normalizer
    backend.pre_tokenizer = words
    backend.decoder = decoders.WordPiece(prefix="##")
    backend.post_processor = separator_template(_BERT_ROLES, vocabulary)
    backend.add_special_tokens(_BERT_PIECES)
    return Tokenizer(backend, _BERT_ROLES)


def _repeated(counts: Counter[str]) -> Iterator[str]:
    """Write each word as often as it was counted, in lines of bounded length."""
    for word, count in counts.items():
        for start in range(0, count, 1000):
            yield " ".join([word] * min(1000, count - start))


def _byte_pairs(texts: _Checked, vocab_size: int, lowercase: bool, min_frequency: int) -> Tokenizer:
    backend = Backend(BPE())
    if lowercase:
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocab_size - 1,
        min_frequency=min_frequency,
        special_tokens=_ROBERTA_PIECES,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return _with_mask(backend)


def _unigram(texts: _Checked, vocab_size: int, lowercase: bool, min_frequency: int) -> Tokenizer:
    # sentencepiece's trainer, unlike the one in `tokenizers`, learns the same from the same
    # texts every time. It lets out `<pad>` and `<mask>`, which the conversion adds.
    # The trainer keeps all texts anyhow, and would change the type of an error raised midway.
    known = list(texts)
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(known),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size - 2,
            hard_vocab_limit=False,
            normalization_rule_name="nmt_nfkc_cf" if lowercase else "nmt_nfkc",
            # Longer ones are left out without a word; this is the most that it takes.
            max_sentence_length=2**30,
            num_threads=_NUM_THREADS,
            minloglevel=_SILENT_LOG_LEVEL,
        )
    except RuntimeError as error:
        raise ConfigError(
            f"vocab_size is {vocab_size}, with which sentencepiece cannot learn from these texts:"
            f" {str(error).rpartition('] ')[2]}; choose more, or kind='byte_bpe', which spells"
            " every character with 256"
        ) from error
    settings = Settings({}, _ROBERTA_ROLES, {}, {})
    return _with_mask(read_sentencepiece(model.getvalue(), settings, name="the learned model"))


def _with_mask(backend: Backend) -> Tokenizer:
    backend.add_special_tokens([AddedToken(text, normalized=False) for text in _ROBERTA_PIECES])
    backend.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    return Tokenizer(backend, _ROBERTA_ROLES)
