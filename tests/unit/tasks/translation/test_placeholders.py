import pytest

from zhixing.tasks.translation.sentences import kept_parts, survive


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hello {name}, {0} and {{x}}", ["{name}", "{0}", "{{x}}"]),
        ("%s of %(count)d, %1$s, 100 % sure", ["%s", "%(count)d", "%1$s"]),
        ('<b>bold</b> <img src="x.png">', ["<b>", "</b>", '<img src="x.png">']),
        ("see https://example.org/a?b=1.", ["https://example.org/a?b=1"]),
        ("a &nbsp; b ${HOME} me@example.org", ["&nbsp;", "${HOME}", "me@example.org"]),
        ("1 < 2 and 3 > 2, 5%", []),
    ],
)
def test_placeholders_are_found(text: str, wanted: list[str]) -> None:
    assert [part.wanted for part in kept_parts(text, {})] == wanted


def test_a_term_is_a_whole_word() -> None:
    parts = kept_parts("A cat, a category, a cat.", {"cat": "chatte"})
    assert [(part.start, part.wanted) for part in parts] == [(2, "chatte"), (21, "chatte")]


def test_of_two_that_overlap_the_first_and_longest_stands() -> None:
    parts = kept_parts("the red house", {"red": "rouge", "red house": "maison rouge"})
    assert [part.wanted for part in parts] == ["maison rouge"]


def test_everything_has_to_survive_as_often_as_it_stood() -> None:
    parts = kept_parts("{a} and {a}", {})
    assert survive(parts, "{a} et {a}")
    assert not survive(parts, "{a} et a")
