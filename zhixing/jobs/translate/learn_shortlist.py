"""Learn from pairs which tokens may be needed to translate which, and keep it in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from numpy import ndarray

from zhixing.checkpoints.files import check_free_file, read_facts, read_tensors, write_tensors
from zhixing.data.readers import read_table
from zhixing.data.roles import PAIRS, Columns
from zhixing.errors import CheckpointError, ConfigError, DataError
from zhixing.generation.shortlist import NONE, Shortlist
from zhixing.models.quantization import keep_output
from zhixing.tasks.translation.translator import Translator

# What is learned hardly changes with more.
MOST_PAIRS = 100_000
LONGEST = 60
ROUNDS = 4
# One pair in so many is not learned from, but tells how much of its words would have been there.
HELD_OUT = 20
KIND = "zhixing shortlist 1"


@dataclass(frozen=True)
class ShortlistReport:
    """What a shortlist came to.

    Attributes:
        pairs: How many it was learned from.
        held_out: How many it was tried on; 0 where there are too few, and it was on the others.
        recall: Share of their target tokens that were on the list of their source.
        tokens: Mean length of the list of one source.
        vocabulary: Tokens without a list.
    """

    pairs: int
    held_out: int
    recall: float
    tokens: float
    vocabulary: int


def learn_shortlist(
    translator: Translator,
    data: object,
    output: str | Path,
    *,
    columns: Columns = Columns(),
    count: int = 50,
    always: int = 200,
    overwrite: bool = False,
) -> ShortlistReport:
    """Learn a shortlist from pairs and write it.

    Args:
        translator: Whose tokens.
        data: Pairs, in any form that training reads.
        output: The file, in the format of safetensors.
        columns: Which columns hold what.
        count: Tokens that may be written for each one that is read.
        always: The most frequent ones, which may always be.
        overwrite: Replace a file that exists.

    Raises:
        ConfigError: If a number is out of range.
        DataError: If no pair has words on both sides.
        FileError: If the file exists.
    """
    for name, value in (("count", count), ("always", always)):
        if not 1 <= value <= 10_000:
            raise ConfigError(f"{name} is {value}; it has to lie between 1 and 10000")
    path = Path(output)
    check_free_file(path, overwrite=overwrite)
    table = read_table(data, columns=columns, roles=PAIRS)
    step = max(1, len(table) // MOST_PAIRS)
    text_format = translator.text_format
    sides = [
        [ids[:LONGEST] for ids in tokenizer.ids(list(texts)[::step])]
        for tokenizer, texts in (
            (text_format.source, table.texts),
            (text_format.target, table.targets or []),
        )
    ]
    pairs = [pair for pair in zip(*sides, strict=True) if all(pair)]
    held = pairs[::HELD_OUT] if len(pairs) >= HELD_OUT else []
    learned = [pair for i, pair in enumerate(pairs) if not held or i % HELD_OUT]
    if not learned:
        raise DataError(f"{table.source}: no pair has words on both sides; give pairs")
    size = translator.model.head_of_next().output.out_features
    chances = translation_chances(learned, size)
    written = numpy.concatenate([numpy.asarray(target) for _, target in learned])
    frequent = numpy.bincount(written, minlength=size).argsort(kind="stable")[::-1][:always]
    shortlist = Shortlist(
        torch.from_numpy(_likeliest(chances, size, text_format.source.vocab_size, count)),
        torch.tensor(sorted({*frequent.tolist(), *text_format.settings.end_ids})),
        is_joint=text_format.source.fingerprint() == text_format.target.fingerprint(),
    )
    _write(shortlist, path, translator)
    tried = held or learned
    lists = [shortlist.ids_for(torch.tensor(source)) for source, _ in tried]
    hits = [numpy.isin(target, ids.numpy()) for (_, target), ids in zip(tried, lists, strict=True)]
    return ShortlistReport(
        pairs=len(learned),
        held_out=len(held),
        recall=float(numpy.concatenate(hits).mean()),
        tokens=sum(map(len, lists)) / len(lists),
        vocabulary=size,
    )


def translation_chances(
    pairs: list[tuple[list[int], list[int]]], size: int
) -> tuple[ndarray, ndarray]:
    """Tell how likely each token is written for each one that is read, where they ever met.

    Args:
        pairs: Tokens read and tokens written.
        size: Of the vocabulary that is written.

    Returns:
        The couples that met, as `read * size + written`, and the chance of each.

    Source:
        Brown et al. 1993, "The mathematics of statistical machine translation", model 1, without
        the empty word.
    """
    codes, starts, place = [], [], 0
    for source, target in pairs:
        read, written = numpy.asarray(source, numpy.int64), numpy.asarray(target, numpy.int64)
        codes.append((read[None, :] * size + written[:, None]).ravel())
        starts.append(place + numpy.arange(len(written)) * len(read))
        place += codes[-1].size
    couples, inverse = numpy.unique(numpy.concatenate(codes), return_inverse=True)
    first = numpy.concatenate(starts)
    lengths = numpy.diff(numpy.append(first, place))
    read = couples // size
    chances: Any = numpy.ones(len(couples))
    for _ in range(ROUNDS):
        own = chances[inverse]
        own /= numpy.add.reduceat(own, first).repeat(lengths)
        chances = numpy.bincount(inverse, own, minlength=len(couples))
        chances /= numpy.bincount(read, chances)[read]
    return couples, chances


def _likeliest(chances: tuple[ndarray, ndarray], size: int, num_read: int, count: int) -> ndarray:
    couples, values = chances
    order = numpy.lexsort((-values, couples // size))
    read, written = couples[order] // size, couples[order] % size
    rank = numpy.arange(len(read)) - numpy.searchsorted(read, read)
    kept = rank < count
    found = numpy.full((num_read, count), NONE, dtype=numpy.int32)
    found[read[kept], rank[kept]] = written[kept]
    return found


def _write(shortlist: Shortlist, path: Path, translator: Translator) -> None:
    facts = {
        "kind": KIND,
        "source": translator.text_format.source.fingerprint(),
        "target": translator.text_format.target.fingerprint(),
        "joint": str(shortlist.is_joint),
    }
    tensors = {"candidates": shortlist.candidates, "always": shortlist.always.int()}
    write_tensors(path, tensors, facts)


def load_shortlist(path: str | Path, translator: Translator) -> Shortlist:
    """Read a shortlist.

    Raises:
        FileError: If the file cannot be read.
        CheckpointError: If it is none, or one of another vocabulary.
    """
    facts = read_facts(Path(path))
    if facts.get("kind") != KIND:
        raise CheckpointError(f"{path} is no shortlist; make one with zhixing shortlist")
    tensors = read_tensors(Path(path))
    text_format = translator.text_format
    if (facts["source"], facts["target"]) != (
        text_format.source.fingerprint(),
        text_format.target.fingerprint(),
    ):
        raise CheckpointError(
            f"{path} was learned for another vocabulary; make one for this model with zhixing "
            f"shortlist"
        )
    return Shortlist(tensors["candidates"], tensors["always"], facts["joint"] == "True")


def with_shortlist(translator: Translator, path: str | Path) -> Translator:
    """Let a translator that was just opened write with the tokens of a shortlist alone.

    Raises:
        FileError: If the file cannot be read.
        CheckpointError: If it is no shortlist, or one of another vocabulary.
    """
    translator.shortlist = load_shortlist(path, translator)
    keep_output(translator.model)
    return translator
