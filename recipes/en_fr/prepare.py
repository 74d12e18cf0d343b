"""Gather the pairs that the built-in translator en-fr learns from: everyday and technical.

    python recipes/en_fr/prepare.py DATA OUT

DATA holds `tatoeba_en-fr/` and `techdocs_en-fr/`; OUT gets `train.tsv` and `validation.tsv`. Pairs
are left out whose sides are the same, blank, or too unlike in length, and repetitions of a pair.
"""

import csv
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

SETS = ("tatoeba_en-fr", "techdocs_en-fr")
# Of the characters of the two sides; short sentences may differ by more.
MOST_UNLIKE = 3.0
SHORT = 20


def pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Read the pairs of a file, in its order."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        for row in rows:
            yield row["source"].strip(), row["target"].strip()


def is_sound(source: str, target: str) -> bool:
    """Tell whether the two sides may be translations of each other."""
    if not source or not target or source == target:
        return False
    shorter, longer = sorted((len(source), len(target)))
    return longer <= MOST_UNLIKE * shorter + SHORT


def main(data: Path, out: Path) -> None:
    """Write the files of pairs and say how many were left out."""
    out.mkdir(parents=True, exist_ok=True)
    for name, ending in (("train", ".tsv.gz"), ("validation", ".tsv")):
        read = [pair for one in SETS for pair in pairs(data / one / f"{name}{ending}")]
        kept = list(dict.fromkeys(pair for pair in read if is_sound(*pair)))
        with (out / f"{name}.tsv").open("w", encoding="utf-8", newline="\n") as file:
            file.write("source\ttarget\n")
            file.writelines(f"{source}\t{target}\n" for source, target in kept)
        print(f"{name}: {len(kept):,} of {len(read):,} pairs")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
