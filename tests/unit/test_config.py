from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from zhixing.config import keys_of, override, parse_pairs, read_recipe
from zhixing.errors import ConfigError, FileError


@dataclass(frozen=True)
class Inner:
    """A section."""

    depth: int = 2
    name: str | None = None


@dataclass(frozen=True)
class Outer:
    """Settings of every kind."""

    rate: float = 0.5
    count: int = 1
    is_on: bool = False
    word: str = "a"
    kind: Literal["red", "blue", "none"] = "red"
    limit: float | None = None
    inner: Inner = field(default_factory=Inner)


def test_settings_are_named_with_their_section() -> None:
    assert keys_of(Outer()) == [
        *("rate", "count", "is_on", "word", "kind", "limit"),
        *("inner.depth", "inner.name"),
    ]


def test_words_are_read_as_what_the_field_wants() -> None:
    words = {"rate": "1e-3", "count": "7", "is_on": "TRUE", "word": "true", "kind": "blue"}
    found = override(Outer(), {**words, "limit": "2", "inner.depth": "3", "inner.name": "x"})
    assert found == Outer(1e-3, 7, True, "true", "blue", 2.0, Inner(3, "x"))
    assert type(found.limit) is float


def test_a_section_may_be_given_whole_and_keeps_what_it_does_not_name() -> None:
    found = override(Outer(inner=Inner(9, "y")), {"inner": {"depth": 4}})
    assert found.inner == Inner(4, "y")


def test_none_may_be_written_where_it_is_allowed() -> None:
    assert override(Outer(limit=3.0), {"limit": "none"}).limit is None
    with pytest.raises(ConfigError, match="rate is 'none'; it has to be a number"):
        override(Outer(), {"rate": "none"})


def test_none_may_be_the_name_of_a_choice() -> None:
    assert override(Outer(), {"kind": "none"}).kind == "none"


def test_nothing_to_change_changes_nothing() -> None:
    assert override(Outer(), {}) == Outer()


def test_all_unknown_names_are_told_with_the_nearest_known() -> None:
    with pytest.raises(ConfigError) as caught:
        override(Outer(), {"rat": 1, "inner.dept": 2, "zzz": 3})
    assert str(caught.value) == (
        "rat is not a setting; did you mean rate?; "
        "inner.dept is not a setting; did you mean inner.depth?; "
        "zzz is not a setting; known are rate, count, is_on, word, kind, limit, inner.depth, "
        "inner.name"
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": "fast"}, "rate is 'fast'; it has to be a number"),
        ({"count": "2.5"}, "count is '2.5'; it has to be a whole number"),
        ({"count": 2.5}, "count is 2.5; it has to be a whole number"),
        ({"count": float("inf")}, "count is inf; it has to be a whole number"),
        ({"count": True}, "count is True; it has to be a whole number"),
        ({"is_on": "yes"}, "is_on is 'yes'; it has to be true or false"),
        ({"is_on": 1}, "is_on is 1; it has to be true or false"),
        ({"kind": "green"}, "kind is 'green'; it has to be one of red, blue, none"),
        ({"limit": "far"}, "limit is 'far'; it has to be a number or none"),
        ({"word": [1]}, r"word is [1]; it has to be a text"),
        ({"inner.depth": "x"}, "depth is 'x'; it has to be a whole number"),
    ],
)
def test_a_value_of_another_kind_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(Outer(), values)
    assert message in str(caught.value)


def test_a_recipe_is_a_toml_file_with_sections(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("rate = 0.25\n[inner]\ndepth = 5\n", encoding="utf-8")
    assert override(Outer(), read_recipe(path)) == Outer(rate=0.25, inner=Inner(5))


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"absent\.toml cannot be read \(No such file"):
        read_recipe(tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"rate = \n", b"\xff\xfe"])
def test_a_recipe_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.toml is not a TOML file \("):
        read_recipe(path)


def test_pairs_are_parted_at_the_first_equals_sign() -> None:
    assert parse_pairs(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("word", ["epochs", "=3"])
def test_a_word_that_is_no_pair_is_named(word: str) -> None:
    with pytest.raises(ConfigError, match=f"'{word}' is not a setting; write key=value"):
        parse_pairs([word])


def test_a_key_that_comes_twice_is_refused_with_both_values() -> None:
    with pytest.raises(ConfigError, match="epochs is set twice, to '1' and '2'; keep one"):
        parse_pairs(["epochs=1", "epochs=2"])
