"""Score given pairs: how likely a model holds each target, and which words go together."""

import json
from dataclasses import dataclass
from pathlib import Path

from zhixing.checkpoints.files import opened_whole
from zhixing.data.readers import read_table, refuse_itself
from zhixing.data.roles import PAIRS, Columns
from zhixing.errors import ConfigError
from zhixing.inspection.alignment import align_pairs
from zhixing.tasks.scoring import score_pairs
from zhixing.tasks.translation.translator import Translator


@dataclass(frozen=True)
class ScoredFile:
    """What scoring a file came to.

    Attributes:
        rows: How many pairs.
        mean: Mean log-probability of a token over all pairs.
        lowest: Rows of the pairs the model holds least likely, the least likely first.
    """

    rows: int
    mean: float
    lowest: list[tuple[int, float]]


def score_file(
    translator: Translator,
    data: object,
    output: str | Path,
    *,
    columns: Columns = Columns(),
    aligns: bool = False,
    overwrite: bool = False,
) -> ScoredFile:
    """Score every pair of a table, in order, a line of JSON each.

    Args:
        translator: The model.
        data: Pairs, in any form that training reads.
        output: A .jsonl file, or "-" for standard output. It appears when all of it is written.
        columns: Which columns hold what.
        aligns: Also say which words go together.
        overwrite: Replace an output file that exists.

    Raises:
        FileError: If the output exists or cannot be written.
        DataError: If a pair is longer than the model takes.
        ConfigError: If the output is what is read, or is no .jsonl file.
    """
    if output != "-":
        if Path(output).suffix != ".jsonl":
            raise ConfigError(f"{output} has to end in .jsonl, as it holds a line of JSON a pair")
        if isinstance(data, str | Path) and data != "-" and Path(output).exists():
            refuse_itself(data, output)
    table = read_table(data, columns=columns, roles=PAIRS)
    targets = table.targets or []
    with opened_whole(str(output), overwrite=overwrite) as file:
        scored = score_pairs(translator, table.texts, targets)
        aligned = align_pairs(translator, table.texts, targets) if aligns else None
        for i, (row, pair) in enumerate(zip(table.rows, scored, strict=True)):
            line = {"row": row, "source": table.texts[i], "target": targets[i], **pair.to_dict()}
            if aligned is not None:
                line["alignment"] = aligned[i].to_dict()
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    tokens = sum(len(pair.log_probs) for pair in scored)
    worst = sorted(range(len(scored)), key=lambda i: scored[i].score)[:10]
    return ScoredFile(
        rows=len(scored),
        mean=sum(pair.total for pair in scored) / max(tokens, 1),
        lowest=[(table.rows[i], scored[i].score) for i in worst],
    )
