"""The built-in support messages are well formed, balanced, spread, and do not leak."""

import re
from collections import Counter
from importlib.resources import files
from statistics import median

import pytest

FOLDER = files("zhixing.resources") / "support"
LABELS = (
    "account_security",
    "cancel_order",
    "cancel_subscription",
    "change_plan",
    "charge_dispute",
    "damaged_item",
    "delivery_late",
    "delivery_missing",
    "login_problem",
    "refund_request",
    "refund_status",
    "wrong_item",
)
SPLITS = ("train", "test")
ROWS_PER_LABEL = {"train": 59, "test": 20}
Row = tuple[str, str]


def lines(name: str) -> list[str]:
    content = (FOLDER / name).read_bytes().decode("utf-8", errors="strict")
    assert content.endswith("\n")
    return content[:-1].split("\n")


def rows(split: str) -> list[Row]:
    cells = [line.split("\t") for line in lines(f"{split}.tsv")[1:]]
    assert all(len(row) == 2 for row in cells)
    return [(text, label) for text, label in cells]


def four_grams(text: str) -> frozenset[str]:
    flat = " ".join(text.lower().split())
    return frozenset(flat[start : start + 4] for start in range(max(1, len(flat) - 3)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


def normalised(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_begins_with_the_header_and_holds_two_cells_a_line(split: str) -> None:
    first, *rest = lines(f"{split}.tsv")
    assert first == "text\tlabel"
    assert all(line.count("\t") == 1 for line in rest)


@pytest.mark.parametrize("name", ["train.tsv", "test.tsv", "fresh.txt", "CARD.md"])
def test_a_file_is_utf8_with_plain_line_ends_and_no_byte_order_mark(name: str) -> None:
    content = (FOLDER / name).read_bytes()
    assert b"\r" not in content
    assert not content.startswith(b"\xef\xbb\xbf")
    assert "\N{REPLACEMENT CHARACTER}" not in content.decode("utf-8", errors="strict")


@pytest.mark.parametrize("split", SPLITS)
def test_every_label_has_its_number_of_rows(split: str) -> None:
    counts = Counter(label for _, label in rows(split))
    assert counts == dict.fromkeys(LABELS, ROWS_PER_LABEL[split])


@pytest.mark.parametrize("split", SPLITS)
def test_no_text_is_blank_or_has_spaces_at_its_ends_or_control_characters(split: str) -> None:
    for text, _ in rows(split):
        assert text
        assert text == text.strip()
        assert not re.search(r"[\x00-\x1f\x7f\u2028\u2029]", text)


@pytest.mark.parametrize("split", SPLITS)
def test_rows_are_not_ordered_by_label(split: str) -> None:
    labels = [label for _, label in rows(split)]
    changes = sum(one != other for one, other in zip(labels, labels[1:], strict=False))
    assert changes > 0.8 * len(labels)


def test_no_text_occurs_twice_whatever_its_case_and_punctuation() -> None:
    texts = [text for split in SPLITS for text, _ in rows(split)]
    texts += lines("fresh.txt")
    counts = Counter(normalised(text) for text in texts)
    assert [text for text, count in counts.items() if count > 1] == []


def test_no_test_text_is_nearly_a_training_text() -> None:
    train, test = (
        [(text, four_grams(text)) for text, _ in rows(split)] for split in ("train", "test")
    )
    leaks = [
        (text, held_out)
        for held_out, own in test
        for text, grams in train
        if jaccard(own, grams) >= 0.5
    ]
    assert leaks == []


def test_no_fresh_text_is_nearly_a_labelled_text() -> None:
    labelled = [four_grams(text) for split in SPLITS for text, _ in rows(split)]
    fresh = [four_grams(text) for text in lines("fresh.txt")]
    assert max(jaccard(one, other) for one in fresh for other in labelled) < 0.5


def test_the_measure_of_nearness_finds_a_planted_near_duplicate() -> None:
    text = "Please cancel the order I placed this morning, I don't need it any more."
    near = "please cancel the order I placed this evening, I don't need it any more"
    assert jaccard(four_grams(text), four_grams(near)) >= 0.5
    assert jaccard(four_grams(text), four_grams("my kettle leaks from the bottom")) < 0.1


@pytest.mark.parametrize("split", SPLITS)
def test_lengths_are_spread_from_two_words_to_over_a_hundred(split: str) -> None:
    words = sorted(len(text.split()) for text, _ in rows(split))
    assert words[0] == 2
    assert words[len(words) // 10] <= 8
    assert words[-len(words) // 10] >= 25
    assert 100 <= words[-1] <= 150


def test_both_splits_have_the_same_middle_length() -> None:
    middle = {split: median(len(text.split()) for text, _ in rows(split)) for split in SPLITS}
    assert abs(middle["train"] - middle["test"]) <= 3


def test_no_label_is_given_away_by_its_length() -> None:
    everything = [row for split in SPLITS for row in rows(split)]
    for label in LABELS:
        middle = median(len(text.split()) for text, own in everything if own == label)
        assert 10 <= middle <= 26


@pytest.mark.parametrize("word", ["refund", "cancel", "deliver", "subscription", "broken", "log"])
def test_a_telling_word_occurs_under_many_labels(word: str) -> None:
    everything = [row for split in SPLITS for row in rows(split)]
    assert len({label for text, label in everything if word in text.lower()}) >= 6


def test_the_fresh_texts_are_eight_unlabelled_lines() -> None:
    fresh = lines("fresh.txt")
    assert len(fresh) == 8
    assert all(text == text.strip() and text and "\t" not in text for text in fresh)


def test_the_card_defines_every_label_and_states_counts_and_licence() -> None:
    card = "\n".join(lines("CARD.md"))
    for label in LABELS:
        assert card.count(f"| `{label}` |") == 1
    for split in SPLITS:
        assert str(len(rows(split))) in card
    assert "Apache-2.0" in card
