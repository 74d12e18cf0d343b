"""What holds for every text, of tokenizers learned from a few."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zhixing.tokenization.tokenizer import Tokenizer
from zhixing.tokenization.training import train_tokenizer

TEXTS = ["the low lowest slow river", "学习中文 学习", "Été où naît", "مرحبا بالعالم привет"] * 4
SPELLED = ("<s>", "</s>", "<pad>", "<unk>", "<mask>")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(
    lambda text: not any(mark in text for mark in SPELLED)
)
relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def byte_level() -> Tokenizer:
    return train_tokenizer(TEXTS, kind="byte_bpe", vocab_size=320)


@pytest.fixture(scope="module", params=["wordpiece", "byte_bpe", "unigram"])
def any_kind(request: pytest.FixtureRequest) -> Tokenizer:
    size = {"wordpiece": 120, "byte_bpe": 320, "unigram": 90}[request.param]
    return train_tokenizer(TEXTS, kind=request.param, vocab_size=size)


@relaxed
@given(text=texts)
def test_a_byte_level_tokenizer_gives_back_every_text(byte_level: Tokenizer, text: str) -> None:
    ids = byte_level.ids([text])[0]
    assert byte_level.decode(ids) == text
    assert byte_level.decode(byte_level.wrap(ids).input_ids) == text


@relaxed
@given(batch=st.lists(texts, max_size=6))
def test_neighbours_change_nothing(any_kind: Tokenizer, batch: list[str]) -> None:
    assert any_kind.ids(batch) == [any_kind.ids([text])[0] for text in batch]


@relaxed
@given(text=texts)
def test_tokens_agree_with_ids_and_lie_in_the_text(any_kind: Tokenizer, text: str) -> None:
    tokens = any_kind.tokens(text)
    assert tokens.ids == any_kind.ids([text])[0]
    assert [any_kind.id_of(piece) for piece in tokens.pieces] == tokens.ids
    assert all(0 <= first <= last <= len(text) for first, last in tokens.offsets)
    starts = [first for first, _ in tokens.offsets]
    assert starts == sorted(starts)
    assert all(0 <= token_id < any_kind.vocab_size for token_id in tokens.ids)


@relaxed
@given(first=texts, second=texts)
def test_wrapping_adds_the_promised_number_of_tokens(
    any_kind: Tokenizer, first: str, second: str
) -> None:
    one, two = any_kind.ids([first, second])
    single, pair = any_kind.wrap(one), any_kind.wrap(one, two)
    assert len(single.input_ids) == len(one) + any_kind.num_special(pair=False)
    assert len(pair.input_ids) == len(one) + len(two) + any_kind.num_special(pair=True)
    assert len(pair.token_type_ids) == len(pair.input_ids)
    assert single.input_ids[1 : 1 + len(one)] == one
    assert pair.input_ids[: 1 + len(one)] == single.input_ids[:-1]
