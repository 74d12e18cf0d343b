"""metrics.jsonl: every event of a run, a line each, and nothing twice after a resume."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zhixing.checkpoints.files import write_text
from zhixing.training.events import Evaluated, Event, Saved, Stepped

FILE = "metrics.jsonl"


class Journal:
    """Keep a run's events in its folder.

    Args:
        folder: Of the run.
        after_step: Lines of later steps are removed, for a resumed run will write them again.
    """

    def __init__(self, folder: Path, *, after_step: int) -> None:
        self.path = folder / FILE
        kept = [line for line in self.lines() if line["step"] <= after_step]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def write(self, event: Event) -> None:
        """Add an event; a snapshot's path is not one of the run's results and is left out."""
        kinds = {Stepped: "step", Evaluated: "evaluation", Saved: "snapshot"}
        kind = kinds.get(type(event), "end")
        values: dict[str, Any] = {"event": kind, **asdict(event)}
        values.pop("path", None)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def lines(self) -> Iterator[dict[str, Any]]:
        """Read the events back; a line that a kill cut short ends them."""
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return
