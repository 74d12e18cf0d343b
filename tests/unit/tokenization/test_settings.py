import json
import re
from pathlib import Path
from typing import Any

import pytest

from zhixing.errors import FileError, TokenizerError
from zhixing.tokenization.settings import SpecialTokens, read_object, read_settings, read_text


def write(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_folder_without_files_has_no_settings(tmp_path: Path) -> None:
    settings = read_settings(tmp_path)
    assert settings.values == {}
    assert settings.special == SpecialTokens()
    assert settings.max_length is None
    assert settings.added == settings.matching == {}


def test_the_tokens_map_lies_over_the_configuration(tmp_path: Path) -> None:
    write(
        tmp_path,
        tokenizer_config={"pad_token": "[PAD]", "mask_token": "[M]", "do_lower_case": False},
        special_tokens_map={"mask_token": {"content": "<mask>", "lstrip": True}},
    )
    settings = read_settings(tmp_path)
    assert settings.special == SpecialTokens(padding="[PAD]", mask="<mask>")
    assert settings.matching["<mask>"].lstrip
    assert settings.matching["<mask>"].special
    assert not settings.matching["<mask>"].normalized
    assert settings.flag("do_lower_case", True) is False


def test_a_configuration_with_its_own_added_tokens_stands_alone(tmp_path: Path) -> None:
    write(
        tmp_path,
        tokenizer_config={
            "mask_token": "[M]",
            "added_tokens_decoder": {"7": {"content": "[B]"}, "3": {"content": "[A]"}},
        },
        special_tokens_map={"mask_token": "<mask>"},
        added_tokens={"[C]": 1},
    )
    settings = read_settings(tmp_path)
    assert settings.special.mask == "[M]"
    assert [(number, token.content) for number, token in settings.added.items()] == [
        (3, "[A]"),
        (7, "[B]"),
    ]


def test_older_folders_list_added_tokens_by_text(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, added_tokens={"dog": 9, "cat": 8}))
    assert [(number, token.content) for number, token in settings.added.items()] == [
        (8, "cat"),
        (9, "dog"),
    ]


def test_a_flag_is_what_is_usual_where_the_files_are_silent(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, tokenizer_config={"strip_accents": None}))
    assert settings.flag("do_lower_case", True) is True
    assert settings.flag("strip_accents", True) is True
    assert settings.optional_flag("strip_accents", True) is None
    assert settings.optional_flag("tokenize_chinese_chars", False) is False


def test_a_flag_that_is_none_is_refused_with_its_value(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, tokenizer_config={"do_lower_case": "yes"}))
    with pytest.raises(TokenizerError, match="do_lower_case is 'yes', allowed are true and false"):
        settings.flag("do_lower_case", True)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_max_length": 512}, 512),
        ({"max_len": 384}, 384),
        ({"model_max_length": 256, "max_len": 384}, 256),
        ({"model_max_length": 10**30}, None),
        ({"model_max_length": 1e30}, None),
        ({"model_max_length": True}, None),
        ({"model_max_length": 0}, None),
    ],
)
def test_the_stated_length_is_read_from_either_key(
    config: dict[str, Any], expected: int | None, tmp_path: Path
) -> None:
    assert read_settings(write(tmp_path, tokenizer_config=config)).max_length == expected


@pytest.mark.parametrize("table", [["[A]"], {"x": {"content": "[A]"}}])
def test_added_tokens_without_ids_are_refused(table: Any, tmp_path: Path) -> None:
    write(tmp_path, tokenizer_config={"added_tokens_decoder": table})
    with pytest.raises(TokenizerError, match="added_tokens_decoder is not an object from ids"):
        read_settings(tmp_path)


def test_an_added_token_without_a_text_is_refused(tmp_path: Path) -> None:
    write(tmp_path, tokenizer_config={"added_tokens_decoder": {"3": {"special": True}}})
    with pytest.raises(TokenizerError, match="added_tokens_decoder, 3: a special token is"):
        read_settings(tmp_path)


@pytest.mark.parametrize("value", ["9", -1, True])
def test_an_added_token_with_an_impossible_id_is_refused(value: Any, tmp_path: Path) -> None:
    write(tmp_path, added_tokens={"dog": value})
    with pytest.raises(TokenizerError, match=f"gives 'dog' the id {value!r}; ids are whole"):
        read_settings(tmp_path)


def test_damaged_json_is_refused_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n "x": 1,\n "y" 2}')
    with pytest.raises(TokenizerError, match=re.escape(f"{path} is damaged: line 3, column 6")):
        read_object(path)


def test_json_that_is_no_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    with pytest.raises(TokenizerError, match=re.escape(f"{path} holds a list where an object")):
        read_object(path)


def test_a_repeated_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"x": 1, "y": 2, "y": 3}')
    with pytest.raises(TokenizerError, match=re.escape(f"{path} has the key 'y' twice")):
        read_object(path)


def test_a_file_that_is_not_utf8_is_refused_with_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9")
    with pytest.raises(TokenizerError, match=r"is not UTF-8: byte 0xe9 at position 3;"):
        read_text(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=re.escape(f"{tmp_path / 'x'} cannot be read (No such")):
        read_text(tmp_path / "x")
