"""State-dict names: a two-way table between a checkpoint's weight names and ours.

A family's table says, for each of our parameters, where a published checkpoint keeps it. Read
forwards it loads, read backwards it saves. `{i}` stands for a layer's number on both sides.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from zhixing.errors import CheckpointError


@dataclass(frozen=True)
class Plain:
    """An entry: the same tensor under another name.

    Attributes:
        name: Theirs.
        others: Older names of it, accepted when reading.
    """

    name: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stacked:
    """An entry: our tensor is several of theirs, such as q, k and v, stacked row on row."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """An entry: our vector is the only row of their matrix."""

    name: str


Entry = Plain | Stacked | Row


@dataclass(frozen=True)
class WeightNames:
    """Hold a family's table of state-dict names.

    Attributes:
        entries: Our names to where theirs are.
        prefixes: What may stand before every body name of theirs; the first is written.
        body: Their names that bear the prefix begin with one of these.
        tied: Their names that repeat another tensor; written and checked, never loaded.
        ignored: Their names that hold no weight (position counters).
        heads: Prefixes of heads other than ours, which are left unread and named.
    """

    entries: Mapping[str, Entry]
    prefixes: tuple[str, ...] = ("",)
    body: tuple[str, ...] = ()
    tied: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()

    def expanded(self, encoder_layers: int, decoder_layers: int = 0) -> "WeightNames":
        """Write out `{i}` for every layer."""
        entries: dict[str, Entry] = {}
        for ours, entry in self.entries.items():
            num_layers = decoder_layers if ours.startswith("decoder.") else encoder_layers
            for i in range(num_layers) if "{i}" in ours else (None,):
                entries[_fill(ours, i)] = _fill_entry(entry, i)
        return replace(self, entries=entries)


@dataclass(frozen=True)
class Reading:
    """A checkpoint's state dict under our names, with missing and unknown keys.

    `unknown` are their names that no entry speaks of, `left_out` those of heads that were not asked
    for.
    """

    weights: dict[str, Tensor]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    left_out: tuple[str, ...]


def read_weights(names: WeightNames, theirs: Mapping[str, Tensor]) -> Reading:
    """Rename a checkpoint's state dict into ours; every tensor on either side is accounted for.

    Raises:
        CheckpointError: If tied tensors differ, or a weight comes with a prefix and without.
    """
    _check_once(names, theirs)
    given = {_without_prefix(names, name): tensor for name, tensor in theirs.items()}
    original = {_without_prefix(names, name): name for name in theirs}
    weights: dict[str, Tensor] = {}
    missing: list[str] = []
    used: set[str] = set()
    for ours, entry in names.entries.items():
        present = _find(entry, given)
        used.update(present)
        complete = len(entry.names) if isinstance(entry, Stacked) else 1
        if len(present) < complete:
            missing.append(ours)
        elif isinstance(entry, Row):
            weights[ours] = given[present[0]].flatten()
        elif isinstance(entry, Plain):
            weights[ours] = given[present[0]]
        else:
            weights[ours] = torch.cat([given[name] for name in present])
    _check_ties(names, given)
    rest = [n for n in given if n not in used and n not in names.tied and n not in names.ignored]
    left_out = [name for name in rest if name.startswith(names.heads)]
    unknown = [name for name in rest if not name.startswith(names.heads)]
    return Reading(
        weights,
        tuple(missing),
        tuple(original[name] for name in unknown),
        tuple(original[name] for name in left_out),
    )


def write_weights(names: WeightNames, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename our state dict into a checkpoint's; the inverse of `read_weights`."""
    theirs: dict[str, Tensor] = {}
    for name, tensor in ours.items():
        entry = names.entries[name]
        if not isinstance(entry, Stacked):
            row = tensor.unsqueeze(0) if isinstance(entry, Row) else tensor
            theirs[_with_prefix(names, entry.name)] = row
            continue
        for part_name, part in zip(entry.names, tensor.chunk(len(entry.names)), strict=True):
            theirs[_with_prefix(names, part_name)] = part.contiguous()
    return theirs


def _find(entry: Entry, given: Mapping[str, Tensor]) -> list[str]:
    if isinstance(entry, Stacked):
        return [name for name in entry.names if name in given]
    others = () if isinstance(entry, Row) else entry.others
    return [name for name in (entry.name, *others) if name in given][:1]


def _check_once(names: WeightNames, theirs: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in theirs:
        first = seen.setdefault(_without_prefix(names, name), name)
        if first != name:
            raise CheckpointError(
                f"{first} and {name} are the same weight; a checkpoint holds it once: remove one"
            )


def _check_ties(names: WeightNames, given: Mapping[str, Tensor]) -> None:
    for copy, source in names.tied.items():
        if copy in given and source in given and not torch.equal(given[copy], given[source]):
            raise CheckpointError(
                f"{copy} should repeat {source} but differs from it; this checkpoint's weights "
                f"are not tied, which its family does not provide for"
            )


def _without_prefix(names: WeightNames, name: str) -> str:
    for prefix in names.prefixes:
        if prefix and name.startswith(prefix):
            return name[len(prefix) :]
    return name


def _with_prefix(names: WeightNames, name: str) -> str:
    return names.prefixes[0] + name if name.startswith(names.body) else name


def _fill(name: str, i: int | None) -> str:
    return name if i is None else name.replace("{i}", str(i))


def _fill_entry(entry: Entry, i: int | None) -> Entry:
    if isinstance(entry, Stacked):
        return Stacked(tuple(_fill(name, i) for name in entry.names))
    if isinstance(entry, Row):
        return Row(_fill(entry.name, i))
    return Plain(_fill(entry.name, i), tuple(_fill(name, i) for name in entry.others))


def dense(ours: str, theirs: str) -> dict[str, Entry]:
    """Name the weight and bias of a linear layer."""
    return {f"{ours}.{part}": Plain(f"{theirs}.{part}") for part in ("weight", "bias")}


def norm(ours: str, theirs: str) -> dict[str, Entry]:
    """Name the weight and bias of a norm, which old checkpoints call gamma and beta."""
    return {
        f"{ours}.weight": Plain(f"{theirs}.weight", (f"{theirs}.gamma",)),
        f"{ours}.bias": Plain(f"{theirs}.bias", (f"{theirs}.beta",)),
    }


def stacked(ours: str, theirs: Iterable[str]) -> dict[str, Entry]:
    """Name the weight and bias of a linear layer whose rows are several of theirs, stacked."""
    parts = tuple(theirs)
    return {
        f"{ours}.{part}": Stacked(tuple(f"{name}.{part}" for name in parts))
        for part in ("weight", "bias")
    }
