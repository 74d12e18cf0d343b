import numpy
import pytest
import torch

from zhixing.data.batch import Example, Window, filled_up, label_ids, label_matrix, lay_out
from zhixing.errors import DataError


def window(*ids: int, types: tuple[int, ...] | None = None) -> Window:
    """Make a window of some ids."""
    second = None if types is None else numpy.array(types, dtype=numpy.int32)
    return Window(numpy.array(ids, dtype=numpy.int32), second)


def example(*windows: Window, row: int = 1, labels: tuple[int, ...] | None = None) -> Example:
    """Make an example of some windows."""
    read = sum(len(part) for part in windows)
    return Example(windows, labels, row=row, tokens_given=read, tokens_read=read)


def test_the_tokens_of_an_example_are_those_of_all_its_windows() -> None:
    assert example(window(1, 2, 3), window(3, 4)).num_tokens == 5


def test_windows_lie_end_to_end_the_longest_first() -> None:
    first = example(window(1, 2), row=7)
    second = example(window(3, 4, 5), window(6), row=9)
    batch = lay_out([first, second], None)
    assert batch.input_ids.values.tolist() == [3, 4, 5, 1, 2, 6]
    assert batch.input_ids.lengths == (3, 2, 1)
    assert batch.owners.tolist() == [1, 0, 1]
    assert batch.rows == (7, 9)
    assert batch.num_tokens == 6


def test_windows_of_equal_length_keep_their_order() -> None:
    batch = lay_out([example(window(i, i)) for i in range(4)], None)
    assert batch.owners.tolist() == [0, 1, 2, 3]
    assert batch.input_ids.values.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_without_second_texts_there_are_no_token_types() -> None:
    assert lay_out([example(window(1, 2))], None).token_type_ids is None


def test_a_window_without_token_types_counts_as_all_zeros_beside_one_that_has_them() -> None:
    batch = lay_out([example(window(1)), example(window(2, 3, types=(0, 1)))], None)
    assert batch.token_type_ids is not None
    assert batch.token_type_ids.tolist() == [0, 1, 0]
    assert batch.token_type_ids.dtype == torch.int64


def test_labels_stay_beside_their_examples_whatever_the_order_of_the_windows() -> None:
    labels = torch.tensor([4, 2])
    batch = lay_out([example(window(1)), example(window(2, 3))], labels)
    assert batch.target is not None
    assert batch.target.tolist() == [4, 2]


def test_a_batch_brings_all_its_tensors_to_a_device() -> None:
    parts = [example(window(1, 2, types=(0, 1)))]
    moved = lay_out(parts, torch.tensor([1])).to(torch.device("meta"))
    assert moved.token_type_ids is not None and moved.target is not None
    tensors = [moved.input_ids.values, moved.token_type_ids, moved.owners, moved.target]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.rows == (1,)
    bare = lay_out([example(window(1, 2))], None).to(torch.device("meta"))
    assert bare.token_type_ids is None and bare.target is None


def labelled(*labels: tuple[int, ...] | None) -> list[Example]:
    return [Example((), names, row, 0, 0) for row, names in enumerate(labels, start=1)]


def test_label_ids_are_the_one_label_of_each_example():
    assert label_ids(labelled((2,), (0,))).tolist() == [2, 0]
    assert label_ids([]).shape == (0,)


def test_a_label_matrix_marks_any_number_of_labels():
    matrix = label_matrix(labelled((0, 2), ()), 3)
    assert matrix.tolist() == [[True, False, True], [False, False, False]]


def test_rows_without_labels_are_named():
    for read in (label_ids, lambda examples: label_matrix(examples, 3)):
        with pytest.raises(DataError, match="row 2 has no label; give a labelled table"):
            read(labelled((0,), None))


@pytest.mark.parametrize(("count", "added"), [(7, []), (8, []), (9, [4, 3]), (13, [3]), (16, [])])
def test_many_tokens_are_filled_up_to_a_multiple(count: int, added: list[int]) -> None:
    rest = [example(window(9, types=(1,)), row=2, labels=(1,)) for _ in range(count - 4)]
    given = [example(window(1, 2, 3, 4, types=(0, 0, 1, 1)), row=3, labels=(0,)), *rest]
    filled = filled_up(given, 8)
    assert filled[: len(given)] == given
    assert [[len(w) for w in e.windows] for e in filled[len(given) :]] == [added][: len(added)]
    batch = lay_out(filled, label_ids(filled))
    assert batch.num_tokens == count + sum(added)
    assert batch.token_type_ids is not None and len(batch.token_type_ids) == batch.num_tokens
