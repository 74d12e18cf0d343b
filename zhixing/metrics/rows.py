"""Checks of a metric's inputs: equally many rows, class ids in range, finite values."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zhixing.errors import DataError


def require_rows(counts: Mapping[str, int]) -> None:
    """Refuse inputs that are empty or differ in their number of rows.

    Raises:
        DataError: There is no row, or the inputs cannot belong to the same rows.
    """
    sizes = " and ".join(f"{name} has {count} rows" for name, count in counts.items())
    if len(set(counts.values())) > 1:
        raise DataError(f"{sizes}, but a score needs one of each for every row; pass equally many")
    if 0 in counts.values():
        raise DataError(f"{sizes}, but a score needs at least 1; look at what was read or filtered")


def require_classes(name: str, ids: Int[Tensor, " B"], num_classes: int) -> None:
    """Refuse class ids outside `0 .. num_classes - 1`, naming the first such row.

    Raises:
        DataError: An id is out of range.
    """
    outside = (ids < 0) | (ids >= num_classes)
    if bool(outside.any()):
        row = int(outside.nonzero()[0, 0])
        raise DataError(
            f"{name}[{row}] is {int(ids[row])}, but with {num_classes} classes an id lies in "
            f"0 to {num_classes - 1}; check the label names that the ids were made with"
        )


def require_finite(name: str, values: Float[Tensor, "..."]) -> None:
    """Refuse NaN and infinity, naming the first index.

    Raises:
        DataError: A value is not finite.
    """
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        index = [int(i) for i in (~finite).nonzero()[0]]
        raise DataError(
            f"{name}{index} is {float(values[tuple(index)])}, but every value must be finite; "
            "check the weights and the learning rate that it was computed with"
        )


def require_probabilities(name: str, values: Float[Tensor, "..."]) -> None:
    """Refuse values outside 0 to 1, which are most often logits passed by mistake.

    Raises:
        DataError: A value is not finite or lies outside 0 to 1.
    """
    require_finite(name, values)
    outside = (values < 0) | (values > 1)
    if bool(outside.any()):
        index = [int(i) for i in outside.nonzero()[0]]
        raise DataError(
            f"{name}{index} is {float(values[tuple(index)]):g}, but a probability lies in 0 to 1; "
            "turn logits into probabilities first"
        )
