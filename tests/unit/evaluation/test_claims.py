from dataclasses import replace

from zhixing.evaluation.claims import Origin, signature_of

ORIGIN = Origin(data="ab12cd34" * 8, model="0123456789abcdef", version="0.1.0")


def test_a_signature_is_one_line_with_short_hashes() -> None:
    assert signature_of("accuracy", 872, ORIGIN) == (
        "metric:accuracy|rows:872|seed:0|bootstrap:1000|data:ab12cd34ab12|model:0123456789ab"
        "|version:0.1.0"
    )


def test_another_seed_makes_another_signature() -> None:
    assert signature_of("f1", 1, replace(ORIGIN, seed=1)) != signature_of("f1", 1, ORIGIN)
