"""How many of the project's files a text passes through, and how soon a model answers.

Counts the files in which a function of ours runs between a text and its result, by
`sys.setprofile`: once for the call alone, once for loading and call together (imports done before).
Seconds to the first answer are those that a fresh process takes after `import torch`, the median
of several.

    python -m benchmarks.reading_the_house --classifier runs/reviews
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import zhixing
from benchmarks.runs import write_result

ROOT = str(Path(zhixing.__file__).parent)
TEXT = "Where is the station? I would like to know."
CLOCK = "import time; begin = time.perf_counter(); import torch; bare = time.perf_counter() - begin"
FIRST = """
begin = time.perf_counter()
import zhixing
zhixing.load({model!r})({text!r})
print(bare, time.perf_counter() - begin)
"""


def files_run(work: Callable[[], object]) -> list[str]:
    """List the project's files in which a function runs; what merely imports does not count."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(ROOT) and frame.f_code.co_name != "<module>":
            files.add(name.removeprefix(ROOT).lstrip("/"))

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return sorted(files)


def seconds_to_answer(model: str, times: int) -> tuple[list[float], list[float]]:
    """Time in fresh processes what importing torch takes, and then loading a model and one answer.

    A first process, which is not counted, brings the files into memory.
    """
    code = CLOCK + FIRST.format(model=model, text=TEXT)
    found = []
    for _ in range(times + 1):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append([float(word) for word in done.stdout.split()])
    bare, own = zip(*found[1:], strict=True)
    return list(bare), list(own)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classifier", required=True, help="A folder that classifies.")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    result: dict[str, object] = {}
    for task, model in (("classify", arguments.classifier), ("translate", "en-fr")):
        loaded = zhixing.load(model)
        loaded(TEXT)
        call = files_run(partial(loaded, TEXT))
        both = files_run(lambda model=model: zhixing.load(model)(TEXT))  # type: ignore[misc]
        bare, own = seconds_to_answer(model, arguments.repeats)
        result[task] = {
            "files of a call": len(call),
            "files of load and call": len(both),
            "seconds to import torch": statistics.median(bare),
            "seconds more to the first answer": statistics.median(own),
            "spread": [min(own), max(own)],
        }
        print(task, len(call), len(both), round(statistics.median(own), 3), *call, sep="\n  ")
    command = "python -m benchmarks.reading_the_house --classifier FOLDER"
    write_result("reading-the-house", command, result)


if __name__ == "__main__":
    main()
