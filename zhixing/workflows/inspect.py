"""Look at what a model does with one text: one page that opens without a network."""

from pathlib import Path

from zhixing.checkpoints.files import write_text
from zhixing.jobs.registry import task_of, use_of
from zhixing.jobs.use import Opened
from zhixing.pages.page import render_page


def inspect(model: Opened, text: str, out: str | Path, *, pair: str | None = None) -> Path:
    """Draw what a model attends to in one text, beside what it says of it.

    Raises:
        FileError: If the page cannot be written.
    """
    sections = use_of(task_of(model.pretrained)).sections(model, text, pair)
    page = render_page("Attention", " ".join(text.split())[:80], sections)
    write_text(Path(out), page)
    return Path(out)
