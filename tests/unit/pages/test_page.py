import base64
import hashlib
import re

import pytest

from zhixing.pages.bars import Bar, bar_chart
from zhixing.pages.charts import Series, histogram, line_chart
from zhixing.pages.heat_map import heat_map
from zhixing.pages.html import Html, paragraph
from zhixing.pages.page import Section, render_page
from zhixing.pages.script import SCRIPT
from zhixing.pages.tables import Quote, quote_list, table

HOSTILE = '</title></script><script>alert("1")</script><a href="https://example.org">'


def page_of_everything(text: str) -> str:
    parts = [
        paragraph(text),
        line_chart([Series(text, [1, 2], [1, 2])], x_label=text, y_label=text),
        bar_chart([Bar(text, 1)], x_label=text, title=text),
        histogram([1, 2, 3], x_label=text),
        table([text], [[text]]),
        quote_list([Quote(text, text, text, 0.5)]),
        heat_map([[1]], [text], [text], row_label=text, column_label=text),
    ]
    return render_page(text, text, [Section(text, parts, text)] * 3)


def test_a_page_is_well_formed(parse) -> None:
    page = page_of_everything("plain")
    assert page.startswith("<!doctype html>\n")
    tree = parse(page)
    assert [each.text for each in tree.all("h1")] == ["plain"]
    assert [each.text for each in tree.all("h2")] == ["plain"] * 3
    assert tree.all("title")[0].text == "plain"


def test_text_cannot_leave_its_place(parse) -> None:
    tree = parse(page_of_everything(HOSTILE))
    (script,) = tree.all("script")
    assert script.text == SCRIPT
    assert all(each.attributes["href"].startswith("#") for each in tree.all("a"))


def test_a_page_loads_nothing() -> None:
    page = page_of_everything("plain")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|\bsrc=|<link", page.replace(SCRIPT, ""))
    assert not re.search(r"https?:|fetch|XMLHttp|import|innerHTML|eval", SCRIPT)


def test_the_policy_allows_this_script_and_nothing_from_elsewhere(parse) -> None:
    tree = parse(render_page("t", "", []))
    (policy,) = tree.all("meta", http_equiv="Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(tree.all("script")[0].text.encode()).digest())
    assert policy.attributes["content"] == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest.decode()}'"
    )


def test_a_page_can_always_be_written_as_utf_8() -> None:
    page_of_everything("half a pair \ud83d and \x00 知行").encode("utf-8")


def test_sections_come_in_order_with_their_notes(parse) -> None:
    sections = [
        Section("One", [Html("<p>first</p>"), Html("<p>second</p>")], "what this is"),
        Section("Two", []),
    ]
    tree = parse(render_page("Title", "Subtitle", sections))
    texts = [each.text.split() for each in tree.all("section")]
    assert texts == [["Onewhat", "this", "is", "first", "second"], ["Two"]]
    assert tree.all("p", class_="subtitle")[0].text == "Subtitle"
    assert len(tree.all("p", class_="note")) == 1


@pytest.mark.parametrize(("count", "links"), [(2, 0), (3, 3)])
def test_contents_lead_to_sections_from_three_on(count: int, links: int, parse) -> None:
    tree = parse(render_page("t", "", [Section(f"s{i}", []) for i in range(count)]))
    targets = [each.attributes["href"].removeprefix("#") for each in tree.all("a")]
    assert len(targets) == links
    assert set(targets) <= {each.attributes["id"] for each in tree.all("section")}


def test_an_empty_subtitle_leaves_no_line(parse) -> None:
    assert not parse(render_page("t", "", [])).all("p")
