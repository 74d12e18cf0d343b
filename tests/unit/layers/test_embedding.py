"""Embeddings say what a token is, where it stands, and which text it belongs to."""

import pytest
import torch
from torch import Tensor, nn

from zhixing.errors import DataError
from zhixing.layers.dropout import Noise, drop
from zhixing.layers.embedding import Embedding
from zhixing.layers.positions import Convolutional, Sinusoidal, sinusoids
from zhixing.layers.ragged import Ragged

VOCAB, SIZE = 11, 4
IDS = Ragged(torch.tensor([3, 5, 3, 8, 3]), (2, 3))


def _table(rows: int, seed: int) -> nn.Embedding:
    table = nn.Embedding(rows, SIZE, dtype=torch.float64)
    nn.init.normal_(table.weight, generator=torch.Generator().manual_seed(seed))
    return table


def _tokens() -> Tensor:
    return _table(VOCAB, 0).weight[IDS.values]


def test_without_positions_a_token_is_its_vector() -> None:
    embedding = Embedding(_table(VOCAB, 0), positions=None)
    torch.testing.assert_close(embedding(IDS), _tokens())


def test_learned_positions_count_from_zero_in_every_sequence() -> None:
    places = _table(3, 1)
    embedding = Embedding(_table(VOCAB, 0), positions=places)
    rows = torch.tensor([0, 1, 0, 1, 2])
    torch.testing.assert_close(embedding(IDS), _tokens() + places.weight[rows])


def test_the_first_token_stands_at_the_offset() -> None:
    places = _table(5, 1)
    embedding = Embedding(_table(VOCAB, 0), positions=places, position_offset=2)
    rows = torch.tensor([2, 3, 2, 3, 4])
    torch.testing.assert_close(embedding(IDS), _tokens() + places.weight[rows])


@pytest.mark.parametrize(("rows", "offset", "room"), [(2, 0, 2), (4, 2, 2), (3, 2, 1)])
def test_a_sequence_longer_than_the_table_is_refused(rows: int, offset: int, room: int) -> None:
    embedding = Embedding(_table(VOCAB, 0), positions=_table(rows, 1), position_offset=offset)
    message = (
        f"a sequence has 3 tokens, but the model has {room} positions; cut it into windows first"
    )
    with pytest.raises(DataError, match=message):
        embedding(IDS)


@pytest.mark.parametrize("offset", [0, 2])
def test_a_sequence_as_long_as_the_table_is_welcome(offset: int) -> None:
    places = _table(3 + offset, 1)
    embedding = Embedding(_table(VOCAB, 0), positions=places, position_offset=offset)
    assert embedding(IDS).shape == (5, SIZE)


def test_sinusoids_are_added_and_know_no_longest_text() -> None:
    embedding = Embedding(_table(VOCAB, 0), positions=Sinusoidal(SIZE))
    expected = _tokens() + sinusoids(torch.tensor([0, 1, 0, 1, 2]), SIZE)
    torch.testing.assert_close(embedding(IDS), expected)
    long = Ragged(torch.zeros(20_000, dtype=torch.int64), (20_000,))
    assert embedding(long).isfinite().all()


def test_sinusoids_take_the_dtype_of_the_tokens() -> None:
    embedding = Embedding(_table(VOCAB, 0).bfloat16(), positions=Sinusoidal(SIZE))
    assert embedding(IDS).dtype == torch.bfloat16


def test_a_convolution_reads_the_embedded_neighbours() -> None:
    convolution = Convolutional(SIZE, width=3).double()
    embedding = Embedding(_table(VOCAB, 0), positions=convolution)
    expected = _tokens() + convolution.plain(_tokens(), IDS.lengths)
    torch.testing.assert_close(embedding(IDS), expected)
    long = Ragged(torch.zeros(20_000, dtype=torch.int64), (20_000,))
    assert embedding(long).shape == (20_000, SIZE)


def test_token_types_are_added_and_the_first_is_meant_where_none_is_given() -> None:
    types = _table(2, 2)
    embedding = Embedding(_table(VOCAB, 0), positions=None, token_types=types)
    given = torch.tensor([0, 1, 1, 0, 1])
    torch.testing.assert_close(embedding(IDS, given), _tokens() + types.weight[given])
    torch.testing.assert_close(embedding(IDS), _tokens() + types.weight[0])


def test_the_sum_is_normalized() -> None:
    norm = nn.LayerNorm(SIZE, eps=1e-12, dtype=torch.float64)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    places, types = _table(3, 1), _table(2, 2)
    embedding = Embedding(_table(VOCAB, 0), positions=places, token_types=types, norm=norm)
    rows = torch.tensor([0, 1, 0, 1, 2])
    expected = norm(_tokens() + places.weight[rows] + types.weight[0])
    torch.testing.assert_close(embedding(IDS), expected)


def test_dropout_falls_last() -> None:
    norm = nn.LayerNorm(SIZE, dtype=torch.float64)
    embedding = Embedding(_table(VOCAB, 0), positions=None, norm=norm, dropout=0.5)
    noise = Noise(("embedding",))
    torch.testing.assert_close(embedding(IDS, noise=noise), drop(norm(_tokens()), 0.5, noise))
    torch.testing.assert_close(embedding(IDS), norm(_tokens()))


@pytest.mark.parametrize("kind", ["none", "learned", "sinusoidal"])
def test_tokens_of_one_step_stand_each_at_its_own_position(kind: str) -> None:
    tables = {"none": None, "learned": _table(9, 1), "sinusoidal": Sinusoidal(SIZE)}
    embedding = Embedding(
        _table(VOCAB, 0),
        positions=tables[kind],
        position_offset=2,
        token_types=_table(2, 2),
        norm=nn.LayerNorm(SIZE, dtype=torch.float64),
        scale=3.0,
    )
    texts = Ragged(torch.tensor([3, 5, 3, 8, 3, 1]), (1, 3, 2))
    stepped = embedding.at(torch.tensor([3, 8, 1]), torch.tensor([0, 2, 1]), below=3)
    assert torch.equal(stepped, embedding(texts)[[0, 3, 5]])


def test_a_step_beyond_the_table_is_refused() -> None:
    embedding = Embedding(_table(VOCAB, 0), positions=_table(3, 1))
    ids = torch.tensor([1, 2])
    assert embedding.at(ids, torch.tensor([2, 0]), below=3).shape == (2, SIZE)
    with pytest.raises(DataError, match="a sequence has 4 tokens, but the model has 3 positions"):
        embedding.at(ids, torch.tensor([3, 0]), below=4)


def test_convolutional_positions_are_no_step() -> None:
    embedding = Embedding(_table(VOCAB, 0), positions=Convolutional(SIZE, width=3).double())
    with pytest.raises(DataError, match="convolutional positions cannot be read one at a time"):
        embedding.at(torch.tensor([1]), torch.tensor([0]), below=1)


def test_a_token_has_the_same_vector_in_every_batch() -> None:
    embedding = Embedding(_table(VOCAB, 0), positions=_table(3, 1), token_types=_table(2, 2))
    together = embedding(IDS)
    alone = embedding(Ragged(IDS.values[2:], (3,)))
    assert torch.equal(together[2:], alone)
