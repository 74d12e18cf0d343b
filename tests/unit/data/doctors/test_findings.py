import json

import pytest

from zhixing.data.doctors.findings import Finding, Tally, count_marks, mark_findings, text_marks


@pytest.mark.parametrize(
    "text", ["cafÃ©", "itâ€™s", "â€œyesâ€\x9d", "Â£5", "å¤§å®¶", "ï¼Œ", "ðŸ˜€", "NoÃ«l", "Â\xa0"]
)
def test_wrongly_decoded_text_is_known(text: str) -> None:
    assert text_marks(text) == ["mojibake"]


@pytest.mark.parametrize(
    "text",
    ["café", "très bien", "NÃO", "« MENÜ »", "MENÜ»", "Â", "É…", "很好", "😀", "ÃÃ", "naïve–"],
)
def test_good_text_bears_no_mark(text: str) -> None:
    assert text_marks(text) == []


def test_every_text_that_is_decoded_wrongly_twice_is_known() -> None:
    for text in ["é", "ü", "ñ", "’", "—", "中", "日本", "🎉", "ø", "€"]:
        wrong = text.encode().decode("latin-1")
        assert text_marks(wrong) != [], text


@pytest.mark.parametrize(
    "text", ["a &amp; b", "it#39;s", "it &#39;s", "&#x27;", "&nbsp;", "quot;a"]
)
def test_html_entities_are_known(text: str) -> None:
    assert text_marks(text) == ["html_entities"]


@pytest.mark.parametrize(
    "text", ["R&D; more", "issue #39", "a & b;", "AT&T", "#2; yes", "amplitude;"]
)
def test_what_is_no_entity_is_left_alone(text: str) -> None:
    assert text_marks(text) == []


@pytest.mark.parametrize("text", ["a<br />b", "<p>", "</div>", '<a href="x">'])
def test_html_tags_are_known(text: str) -> None:
    assert text_marks(text) == ["html_tags"]


@pytest.mark.parametrize("text", ["a < b > c", "<unk>", "<3", "<brave>"])
def test_other_angles_are_no_tags(text: str) -> None:
    assert text_marks(text) == []


def test_lost_and_unseen_characters_are_known() -> None:
    assert text_marks("a\ufffdb") == ["replacement_characters"]
    assert text_marks("a\x07b") == ["control_characters"]
    assert text_marks("a\tb\nc\r\n") == []


def test_a_hostile_text_takes_no_longer_than_its_length() -> None:
    assert text_marks("<a " * 200_000) == []
    assert text_marks("Ã" * 500_000) == []


def test_marks_are_counted_by_row() -> None:
    tally = count_marks(["ok", "&amp;", "Ã© &lt;"], [10, 20, 30])
    assert tally.counts == {"html_entities": 2, "mojibake": 1}
    assert [(finding.kind, finding.rows) for finding in mark_findings(tally)] == [
        ("mojibake", [30]),
        ("html_entities", [20, 30]),
    ]


def test_a_finding_holds_the_first_twenty_rows_and_the_count() -> None:
    tally = Tally()
    for row in range(1, 101):
        tally.add("x", row)
    (finding,) = tally.finding("x", "warning", "a fault", "mend it")
    assert finding.rows == list(range(1, 21))
    assert finding.count == 100
    assert finding.message == "100 rows hold a fault (rows 1, 2, 3, 4, 5 and 95 more)"
    assert (finding.severity, finding.remedy, finding.unit) == ("warning", "mend it", "row")


@pytest.mark.parametrize(
    ("verb", "one", "many"),
    [
        ("hold", "holds", "hold"),
        ("have", "has", "have"),
        ("are", "is", "are"),
        ("end", "ends", "end"),
    ],
)
def test_the_verb_agrees_with_the_rows(verb: str, one: str, many: str) -> None:
    tally = Tally("line")
    tally.add("x", 3)
    (finding,) = tally.finding("x", "note", "it", "", verb=verb)
    assert finding.message == f"1 line {one} it (line 3)"
    tally.add("x", 5)
    (finding,) = tally.finding("x", "note", "it", "", verb=verb, of="b.csv")
    assert finding.message == f"2 lines of b.csv {many} it (lines 3 and 5)"


def test_what_was_not_counted_gives_no_finding() -> None:
    assert Tally().finding("x", "note", "it", "") == []
    assert mark_findings(Tally()) == []


def test_a_finding_is_fit_for_json() -> None:
    finding = Finding("x", "error", "It is so.", [1], 1, "Do this.")
    assert json.loads(json.dumps(finding.to_dict())) == {
        "kind": "x",
        "severity": "error",
        "message": "It is so.",
        "rows": [1],
        "count": 1,
        "remedy": "Do this.",
        "unit": "row",
    }
