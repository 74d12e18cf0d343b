import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, WordLevel, WordPiece

from zhixing.errors import DataError, TokenizerError
from zhixing.tokenization.settings import SpecialTokens
from zhixing.tokenization.tokenizer import Tokenizer, Tokens, Wrapped, refuse_surrogates

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "s", "##s", "sat", "中", "文"]
SPECIAL = SpecialTokens(
    unknown="[UNK]", separator="[SEP]", padding="[PAD]", classify="[CLS]", mask="[MASK]"
)


def word_pieces() -> tokenizers.Tokenizer:
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    backend = tokenizers.Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    backend.add_special_tokens(PIECES[:5])
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return backend


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer(word_pieces(), SPECIAL, max_length=512)


def with_processor(processor: processors.PostProcessor | None) -> Tokenizer:
    backend = tokenizers.Tokenizer(WordLevel({"<s>": 0, "</s>": 1, "a": 2}, unk_token="a"))
    if processor is not None:
        backend.post_processor = processor
    return Tokenizer(backend)


def test_texts_become_ids_without_special_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.ids(["The cats sat", "dog", "", "   "]) == [[5, 6, 8, 9], [1], [], []]


def test_no_texts_give_no_ids(tokenizer: Tokenizer) -> None:
    assert tokenizer.ids([]) == []


def test_tokens_know_their_places_in_the_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.tokens("  The CATS 中文") == Tokens(
        ids=[5, 6, 8, 10, 11],
        pieces=["the", "cat", "##s", "中", "文"],
        offsets=[(2, 5), (6, 9), (9, 10), (11, 12), (12, 13)],
    )


def test_offsets_count_characters_beyond_the_basic_plane_once(tokenizer: Tokenizer) -> None:
    assert tokenizer.tokens("😀 the").offsets == [(0, 1), (2, 5)]


def test_an_empty_text_has_no_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.tokens("") == Tokens([], [], [])


def test_tokens_and_ids_agree(tokenizer: Tokenizer) -> None:
    texts = ["the cats", "sat [MASK]!", "中x"]
    assert tokenizer.ids(texts) == [tokenizer.tokens(text).ids for text in texts]


def test_truncation_and_padding_of_the_backend_are_switched_off() -> None:
    backend = word_pieces()
    backend.enable_truncation(2)
    backend.enable_padding(length=6)
    tokenizer = Tokenizer(backend, SPECIAL)
    assert tokenizer.ids(["the cat sat the cat sat the cat", "the"]) == [
        [5, 6, 9, 5, 6, 9, 5, 6],
        [5],
    ]
    assert '"truncation":null,"padding":null' in tokenizer.to_json()


def test_a_special_token_spelled_out_in_a_text_becomes_that_token(tokenizer: Tokenizer) -> None:
    assert tokenizer.tokens("the[MASK]cat").pieces == ["the", "[MASK]", "cat"]


def test_a_piece_is_spelled_as_in_the_vocabulary_even_where_a_token_took_a_space() -> None:
    backend = word_pieces()
    backend.add_special_tokens([AddedToken("<m>", lstrip=True)])
    tokens = Tokenizer(backend, SPECIAL).tokens("the <m>")
    assert tokens.pieces == ["the", "<m>"]
    assert tokens.offsets == [(0, 3), (3, 7)]


def test_one_text_in_place_of_many_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="texts is one text, 'the cat', where a list"):
        tokenizer.ids("the cat")


def test_a_lone_surrogate_is_refused_with_its_row_and_position(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"text 1 has a lone surrogate, U\+D83D, at character 4,"):
        tokenizer.ids(["the", "the \ud83d cat", "\udc00"])
    with pytest.raises(DataError, match=r"the text has a lone surrogate, U\+DFFF, at character 0,"):
        tokenizer.tokens("\udfff")


def test_other_faults_of_type_stay_what_they_are(tokenizer: Tokenizer) -> None:
    class Odd(list[str]):
        """A list that the annotations let pass, of what is no text."""

    odd = Odd(["the"])
    list.append(odd, None)  # type: ignore[arg-type]
    unchecked = Tokenizer.ids
    while hasattr(unchecked, "__wrapped__"):
        unchecked = unchecked.__wrapped__
    with pytest.raises(TypeError, match="TextEncodeInput"):
        unchecked(tokenizer, odd)


def test_texts_without_surrogates_pass() -> None:
    refuse_surrogates("a 😀 \ud7ff\ue000", name="the text")


def test_bert_wraps_one_text_and_two(tokenizer: Tokenizer) -> None:
    assert tokenizer.wrap([5, 6]) == Wrapped([2, 5, 6, 3], [0, 0, 0, 0])
    assert tokenizer.wrap([5], [6, 9]) == Wrapped([2, 5, 3, 6, 9, 3], [0, 0, 0, 1, 1, 1])
    assert tokenizer.num_special(pair=False) == 2
    assert tokenizer.num_special(pair=True) == 3
    assert tokenizer.has_token_types


def test_empty_texts_are_wrapped_too(tokenizer: Tokenizer) -> None:
    assert tokenizer.wrap([]) == Wrapped([2, 3], [0, 0])
    assert tokenizer.wrap([], []) == Wrapped([2, 3, 3], [0, 0, 1])
    assert tokenizer.wrap([5], []) == Wrapped([2, 5, 3, 3], [0, 0, 0, 1])


def test_wrapping_leaves_the_ids_alone_and_takes_any_sequence(tokenizer: Tokenizer) -> None:
    ids = [5, 6]
    wrapped = tokenizer.wrap(ids)
    wrapped.input_ids.append(99)
    assert ids == [5, 6]
    assert tokenizer.wrap((5, 6)).input_ids == tokenizer.wrap(range(5, 7)).input_ids == [2, 5, 6, 3]


def test_roberta_doubles_its_separator_and_knows_one_type() -> None:
    tokenizer = with_processor(processors.RobertaProcessing(("</s>", 1), ("<s>", 0)))
    assert tokenizer.wrap([2]) == Wrapped([0, 2, 1], [0] * 3)
    assert tokenizer.wrap([2], [2, 2]) == Wrapped([0, 2, 1, 1, 2, 2, 1], [0] * 7)
    assert tokenizer.num_special(pair=True) == 4
    assert not tokenizer.has_token_types


@pytest.mark.parametrize("processor", [None, processors.ByteLevel()])
def test_without_a_template_nothing_is_put_around(
    processor: processors.PostProcessor | None,
) -> None:
    tokenizer = with_processor(processor)
    assert tokenizer.wrap([2, 2]) == Wrapped([2, 2], [0, 0])
    assert tokenizer.wrap([2], [2]).input_ids == [2, 2]
    assert tokenizer.num_special(pair=False) == tokenizer.num_special(pair=True) == 0
    assert not tokenizer.has_token_types


def test_bert_processing_and_sequences_of_processors_are_read_as_well() -> None:
    bert = with_processor(processors.BertProcessing(("</s>", 1), ("<s>", 0)))
    assert bert.wrap([2], [2]) == Wrapped([0, 2, 1, 2, 1], [0, 0, 0, 1, 1])
    template = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    several = with_processor(processors.Sequence([processors.ByteLevel(), template]))
    assert several.wrap([2]) == Wrapped([0, 2], [0, 0])


def test_a_template_may_change_types_between_special_tokens() -> None:
    template = processors.TemplateProcessing(
        single="<s>:0 </s>:1 $A:2 </s>:2", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    assert with_processor(template).wrap([2]) == Wrapped([0, 1, 2, 1], [0, 1, 2, 2])


def test_wrapped_ids_are_what_the_backend_itself_makes(tokenizer: Tokenizer) -> None:
    first, second = "the cat sat", "cats"
    encoding = word_pieces().encode(first, second)
    ids = tokenizer.ids([first, second])
    assert tokenizer.wrap(*ids) == Wrapped(encoding.ids, encoding.type_ids)


def test_decoding_drops_special_tokens_unless_asked(tokenizer: Tokenizer) -> None:
    ids = tokenizer.wrap([5, 6, 8]).input_ids
    assert tokenizer.decode(ids) == "the cats"
    assert tokenizer.decode(ids, keep_special=True) == "[CLS] the cats [SEP]"
    assert tokenizer.decode([]) == ""


def test_ids_beyond_the_vocabulary_have_no_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode([5, 30_000, 6]) == "the cat"


def test_pieces_and_ids_are_looked_up_both_ways(tokenizer: Tokenizer) -> None:
    assert [tokenizer.piece(token_id) for token_id in range(tokenizer.vocab_size)] == PIECES
    assert [tokenizer.id_of(piece) for piece in PIECES] == list(range(12))
    assert tokenizer.id_of("dog") is None


@pytest.mark.parametrize("token_id", [12, -1])
def test_an_id_without_a_piece_is_refused(tokenizer: Tokenizer, token_id: int) -> None:
    message = f"token id {token_id} has no piece; the vocabulary's ids are 0 to 11"
    with pytest.raises(TokenizerError, match=re.escape(message)):
        tokenizer.piece(token_id)


def test_roles_have_ids(tokenizer: Tokenizer) -> None:
    assert tokenizer.padding_id == 0
    assert tokenizer.unknown_id == 1
    assert tokenizer.classify_id == 2
    assert tokenizer.separator_id == 3
    assert tokenizer.mask_id == 4
    assert tokenizer.start_id is None
    assert tokenizer.end_id is None
    assert tokenizer.max_length == 512


def test_a_role_outside_the_vocabulary_is_refused() -> None:
    special = SpecialTokens(mask="<m>", padding="[PAD]", additional=("<x>",))
    with pytest.raises(TokenizerError, match=r"\['<m>', '<x>'\] are not among the 12 pieces"):
        Tokenizer(word_pieces(), special)


def test_the_vocabulary_counts_added_tokens() -> None:
    backend = word_pieces()
    backend.add_tokens(["dog"])
    tokenizer = Tokenizer(backend, SPECIAL)
    assert tokenizer.vocab_size == 13
    assert tokenizer.tokens("the dog").ids == [5, 12]


def test_the_vocabulary_ends_after_the_largest_id_even_with_gaps() -> None:
    backend = tokenizers.Tokenizer(WordLevel({"a": 0, "b": 7}, unk_token="a"))
    assert Tokenizer(backend).vocab_size == 8


def test_an_empty_vocabulary_has_no_pieces() -> None:
    assert Tokenizer(tokenizers.Tokenizer(BPE())).vocab_size == 0


def test_fingerprints_tell_tokenizers_apart_and_nothing_else() -> None:
    one, same = Tokenizer(word_pieces(), SPECIAL), Tokenizer(word_pieces(), SPECIAL)
    assert re.fullmatch("[0-9a-f]{64}", one.fingerprint())
    assert one.fingerprint() == same.fingerprint()
    cut = word_pieces()
    cut.enable_truncation(3)
    assert Tokenizer(cut, SPECIAL).fingerprint() == one.fingerprint()
    other = word_pieces()
    other.normalizer = normalizers.BertNormalizer(lowercase=False)
    assert Tokenizer(other, SPECIAL).fingerprint() != one.fingerprint()


def test_a_tokenizer_travels_to_other_processes(tokenizer: Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.ids(["the cats"]) == [[5, 6, 8]]
    assert copy.wrap([5], [6]) == tokenizer.wrap([5], [6])
    assert copy.mask_id == 4


def test_threads_share_a_tokenizer(tokenizer: Tokenizer) -> None:
    texts = ["the cat sat", "cats", "the [MASK]"] * 20
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: tokenizer.ids(texts), range(16)))
    assert all(result == results[0] for result in results)
