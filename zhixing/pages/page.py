"""Render sections to one self-contained HTML page, which opens anywhere without a network."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from zhixing.pages.html import Html, escape
from zhixing.pages.script import SCRIPT
from zhixing.pages.style import STYLE

# A page may run this one script and fetch nothing at all, whatever a text in it tries.
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_SCRIPT_HASH}'"


@dataclass(frozen=True)
class Section:
    """A section of a page, under a heading.

    The note, a sentence or two below the heading, says what is to be seen here.
    """

    title: str
    body: Sequence[Html]
    note: str = ""


def render_page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Render a page as one string of HTML, to be written as UTF-8.

    It follows the reader's light or dark setting, prints on paper, and holds everything it
    needs; its own content security policy forbids it to load anything. From three sections on
    it begins with a list of contents.

    Example:
        >>> page = render_page("Report", "", [Section("Scores", [Html("<p>0.9</p>")])])
        >>> page.startswith("<!doctype html>"), "<p>0.9</p>" in page
        (True, True)
    """
    below = f'<p class="subtitle">{escape(subtitle)}</p>' if subtitle else ""
    body = "\n".join(_section(number, each) for number, each in enumerate(sections, start=1))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header><h1>{escape(title)}</h1>{below}{_contents(sections)}</header>
<main>
{body}
</main>
<footer>zhixing · 知行</footer>
<div id="tip" hidden></div>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _contents(sections: Sequence[Section]) -> str:
    if len(sections) < 3:
        return ""
    links = "".join(
        f'<a href="#section-{number}">{escape(each.title)}</a>'
        for number, each in enumerate(sections, start=1)
    )
    return f'<nav aria-label="Contents">{links}</nav>'


def _section(number: int, section: Section) -> str:
    note = f'<p class="note">{escape(section.note)}</p>' if section.note else ""
    parts = "\n".join(part.markup for part in section.body)
    heading = f"<h2>{escape(section.title)}</h2>"
    return f'<section id="section-{number}">{heading}{note}\n{parts}\n</section>'
