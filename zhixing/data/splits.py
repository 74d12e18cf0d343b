"""Train/validation split and cross-validation folds: stratified, reproducible, without leaks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from zhixing.data.table import Table
from zhixing.data.wording import counted, folded
from zhixing.errors import ConfigError, DataError

# Rows by the label they are drawn under; None: never drawn.
_Strata = dict[str | None, list["_Group"]]


def split_table(
    table: Table, *, validation_fraction: float = 0.1, seed: int = 0
) -> tuple[Table, Table]:
    """Split a table into training and validation rows, stratified by label.

    Rows of the same text (case and white space aside) stay on one side. Each label gives its
    share to validation and keeps at least one text for training. Where most texts have a label
    that no other has, as the targets of a translation are, rows are drawn without regard to them.
    The same contents and seed give the same split, whatever the order of the rows.

    Of the different texts, at least one is held back.

    Returns:
        The rows for training and those for validation, each in the order of the table.

    Raises:
        ConfigError: `validation_fraction` is not between 0 and 1.
        DataError: The table has fewer than two different texts.

    Example:
        >>> table = Table(list("abcd"), None, ["x", "x", "y", "y"], [1, 2, 3, 4], "<list>")
        >>> train, validation = split_table(table, validation_fraction=0.5)
        >>> train.label_counts(), validation.label_counts()
        ({'x': 1, 'y': 1}, {'x': 1, 'y': 1})
    """
    if not 0 < validation_fraction < 1:
        raise ConfigError(
            f"validation_fraction is {validation_fraction}; it must lie between 0 and 1"
        )
    strata = _strata(_groups(table, seed, at_least=2))
    most_rows = max(1, round(validation_fraction * len(table)))
    drawn = {label: groups for label, groups in strata.items() if label is not None}
    held_back: set[int] = set()
    for label, quota in _quotas(drawn, validation_fraction).items():
        # The first text of a label stays in training, and so does one that is repeated so often
        # that it would fill validation alone.
        small = [group for group in drawn[label][1:] if len(group.indices) <= most_rows]
        held_back.update(i for group in small[:quota] for i in group.indices)
    if not held_back:
        # All that could be drawn is texts that are repeated too often or labelled two ways.
        every = sorted((group for groups in strata.values() for group in groups), key=_order)
        held_back.update(every[0].indices)
    train = [i for i in range(len(table)) if i not in held_back]
    return table.select(train), table.select(sorted(held_back))


def folds(table: Table, *, num_folds: int, seed: int = 0) -> Iterator[tuple[Table, Table]]:
    """Make cross-validation folds: several splits that hold every row back exactly once.

    Rows of the same text stay together and labels are spread evenly over the folds, both as in
    `split_table`. A label with a single text is missing from training in one fold.

    Returns:
        Pairs of training and validation tables, one a fold.

    Raises:
        ConfigError: `num_folds` is less than 2.
        DataError: The table has fewer different texts than folds.
    """
    if num_folds < 2:
        raise ConfigError(f"num_folds is {num_folds}; it must be at least 2")
    strata = _strata(_groups(table, seed, at_least=num_folds))
    members: list[list[int]] = [[] for _ in range(num_folds)]
    for groups in strata.values():
        of_label = [0] * num_folds
        for group in groups:
            # The fold that has least of this label, then least of all: an empty one comes first.
            fold = min(range(num_folds), key=lambda k: (of_label[k], len(members[k]), k))
            of_label[fold] += len(group.indices)
            members[fold].extend(group.indices)
    return _tables_of(table, members)


@dataclass(frozen=True)
class _Group:
    """Rows of one text, by index; `order` is their place in the draw."""

    order: bytes
    label: str | None
    indices: list[int]


def _groups(table: Table, seed: int, *, at_least: int) -> list[_Group]:
    members: dict[str, list[int]] = {}
    pairs = table.pairs or [""] * len(table)
    for i, (text, pair) in enumerate(zip(table.texts, pairs, strict=True)):
        key = f"{folded(text)}\0{folded(pair)}"
        members.setdefault(key, []).append(i)
    if len(members) < at_least:
        raise DataError(
            f"{table.source} has {counted(len(members), 'different text')}, which cannot be split "
            f"{at_least} ways: add rows, or give validation data of its own"
        )
    labels = ["|".join(sorted(row)) for row in table.row_labels()]
    groups = []
    for key, indices in members.items():
        # The draw is a function of seed and text alone, so that it survives a new order of rows.
        order = blake2b(f"{seed} {key}".encode(), digest_size=16).digest()
        names = {labels[i] for i in indices}
        # A text that has several labels is no fair question; it is not held back to be asked.
        groups.append(_Group(order, names.pop() if len(names) == 1 else None, indices))
    return sorted(groups, key=_order)


def _order(group: _Group) -> bytes:
    return group.order


def _strata(groups: Sequence[_Group]) -> _Strata:
    strata: _Strata = {}
    for group in groups:
        strata.setdefault(group.label, []).append(group)
    single = sum(len(members) == 1 for members in strata.values())
    if 2 * single > len(groups):
        return {"": list(groups)}
    # In the order of their names, for a split that does not depend on the order of rows.
    return {label: strata[label] for label in sorted(strata, key=lambda name: name or "")}


def _quotas(strata: dict[str, list[_Group]], fraction: float) -> dict[str, int]:
    """Share the texts to hold back among the labels by the method of largest remainders."""
    shares = {label: fraction * len(groups) for label, groups in strata.items()}
    quotas = {label: int(share) for label, share in shares.items()}
    missing = max(1, round(sum(shares.values()))) - sum(quotas.values())
    by_need = sorted(shares, key=lambda label: (quotas[label] - shares[label], label))
    for label in by_need[:missing]:
        quotas[label] += 1
    return quotas


def _tables_of(table: Table, members: Sequence[Sequence[int]]) -> Iterator[tuple[Table, Table]]:
    for held_back in members:
        taken = set(held_back)
        train = [i for i in range(len(table)) if i not in taken]
        yield table.select(train), table.select(sorted(taken))
