from dataclasses import FrozenInstanceError, replace

import pytest

from zhixing.errors import DataError
from zhixing.metrics.signature import Signature

SIGNATURE = Signature(
    metric="accuracy",
    rows=872,
    seed=0,
    bootstrap=1000,
    data="ab12cd34",
    model="minilm",
    version="0.1.0",
)


def test_a_signature_is_one_line_in_the_order_of_its_fields() -> None:
    assert str(SIGNATURE) == (
        "metric:accuracy|rows:872|seed:0|bootstrap:1000|data:ab12cd34|model:minilm|version:0.1.0"
    )


def test_equal_parts_make_equal_signatures() -> None:
    assert replace(SIGNATURE) == SIGNATURE
    assert str(replace(SIGNATURE, seed=1)) != str(SIGNATURE)


def test_a_name_may_hold_a_colon_and_a_slash() -> None:
    assert "|model:hub:team/name|" in str(replace(SIGNATURE, model="hub:team/name"))


def test_a_signature_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        SIGNATURE.rows = 3


@pytest.mark.parametrize("wrong", ["", "  ", "a|b", "a\nb"])
def test_a_part_that_would_break_the_line_is_refused(wrong: str) -> None:
    with pytest.raises(DataError) as refusal:
        replace(SIGNATURE, model=wrong)
    assert f"model of a signature is {wrong!r}" in str(refusal.value)


@pytest.mark.parametrize("name", ["rows", "seed", "bootstrap"])
def test_a_negative_count_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=f"{name} of a signature is -1"):
        replace(SIGNATURE, **{name: -1})
