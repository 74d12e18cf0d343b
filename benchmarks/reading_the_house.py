"""How many of the project's files a text passes through, and how soon a model answers.

Counts the files in which a function of ours runs between a text and its result, by
`sys.setprofile`: once for the call alone, once for loading and call together (imports done before).
Seconds to the first answer are those of a fresh process over `import torch` alone, the median of
several.

    python -m benchmarks.reading_the_house --classifier runs/reviews
"""

import argparse
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import zhixing
from benchmarks.runs import write_result

ROOT = str(Path(zhixing.__file__).parent)
TEXT = "Where is the station? I would like to know."
FIRST = "import time, torch; t = time.perf_counter(); import zhixing as zx; zx.load({model!r})({text!r}); print(time.perf_counter() - t)"  # noqa: E501
BARE = "import time; t = time.perf_counter(); import torch; print(time.perf_counter() - t)"


def files_run(work: Callable[[], object]) -> list[str]:
    """List the project's files in which a function runs; what merely imports does not count."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(ROOT) and frame.f_code.co_name != "<module>":
            files.add(name.removeprefix(ROOT).lstrip("/"))

    threading.setprofile_all_threads(note) if sys.version_info >= (3, 12) else None
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return sorted(files)


def seconds(code: str, times: int) -> list[float]:
    """Run code in fresh processes and read the seconds it prints."""
    runs = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(times)
    )
    return [float(run.stdout) for run in runs]


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classifier", required=True, help="A folder that classifies.")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    result: dict[str, object] = {"import torch": statistics.median(seconds(BARE, 3))}
    for task, model in (("classify", arguments.classifier), ("translate", "en-fr")):
        loaded = zhixing.load(model)
        loaded(TEXT)
        call = files_run(lambda loaded=loaded: loaded(TEXT))  # type: ignore[misc]
        both = files_run(lambda model=model: zhixing.load(model)(TEXT))  # type: ignore[misc]
        first = seconds(FIRST.format(model=model, text=TEXT), arguments.repeats)
        result[task] = {
            "files of a call": len(call),
            "files of load and call": len(both),
            "seconds to the first answer": statistics.median(first),
            "spread": [min(first), max(first)],
        }
        print(task, len(call), len(both), round(statistics.median(first), 3), *call, sep="\n  ")
    write_result("reading-the-house", result)


if __name__ == "__main__":
    main()
