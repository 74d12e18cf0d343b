"""What a person writes in Python, through the public names alone."""

from pathlib import Path

import polars
import pytest

import zhixing as zx
from zhixing.errors import ConfigError, DataError, FileError, ZhixingError

TINY = {
    "model": "new",
    "new": {
        "hidden_size": 32,
        "encoder_layers": 1,
        "num_heads": 2,
        "feed_forward_size": 64,
        "vocab_size": 300,
    },
    "learning_rate": 0.01,
    "max_steps": 2,
    "threads": 1,
}
ROWS = [{"text": f"a good film {i}", "stars": 5} for i in range(20)] + [
    {"text": f"a bad film {i}", "stars": 1} for i in range(20)
]


def test_a_text_gives_a_result_and_a_list_gives_a_list(trained: Path) -> None:
    model = zx.load(trained)
    one = model("a good film")
    assert one.label == "positive" and sum(one.scores.values()) == pytest.approx(1.0)
    assert (one.coverage.read, one.coverage.total) == (3, 3)
    both = model(["a bad film", "a good film"])
    assert [result.label for result in both] == ["negative", "positive"]
    assert both[1].score == pytest.approx(one.score, rel=1e-5)
    assert model([]) == []


def test_strange_texts_get_answers(trained: Path) -> None:
    model = zx.load(trained)
    found = model(["", " \n", "😀😀", "知行合一", "good " * 50_000, "x" * 10_000])
    assert all(result.coverage.read == result.coverage.total for result in found)
    assert found[4].coverage.total == 50_000


def test_half_a_character_and_uneven_pairs_are_refused(trained: Path) -> None:
    model = zx.load(trained)
    with pytest.raises(DataError, match="at character 2, half of a surrogate pair"):
        model("a \ud800")
    with pytest.raises(DataError, match="there are 2 texts but 1 pairs"):
        model(["a", "b"], ["c"])


def test_options_shorten_and_withhold(trained: Path) -> None:
    model = zx.load(trained)
    found = model("a good film", options=zx.ClassifyOptions(top_k=1, threshold=1.0))
    assert found.label is None and list(found.scores) == ["positive"]
    with pytest.raises(ConfigError, match="threshold is 1.5"):
        zx.ClassifyOptions(threshold=1.5)
    with pytest.raises(ConfigError, match="top_k is -1"):
        zx.ClassifyOptions(top_k=-1)


def test_int8_answers_alike(trained: Path, reviews: Path, tmp_path: Path) -> None:
    full = zx.load(trained)("a good film")
    assert zx.load(trained, precision="int8")("a good film").label == full.label
    report = zx.quantize(trained, reviews / "test.csv", out=tmp_path / "int8")
    assert report.rows == 40 and report.bytes_after < report.bytes_before
    assert zx.load(tmp_path / "int8").labels == zx.load(trained).labels


@pytest.mark.parametrize("data", [ROWS, polars.DataFrame(ROWS)], ids=["list", "polars"])
def test_rows_in_memory_train_under_their_own_names(data: object, tmp_path: Path) -> None:
    done = zx.train("classify", data=data, out=tmp_path / "run", label="stars", **TINY)
    assert zx.load(done.folder).labels == ("1", "5")
    assert done.report is not None and done.steps == 2


def test_a_score_names_the_same_model_when_trained_and_when_evaluated(
    trained: Path, reviews: Path
) -> None:
    first = zx.evaluate(trained, reviews / "test.csv")
    second = zx.evaluate(trained, polars.read_csv(reviews / "test.csv"))
    assert first.signature == second.signature
    assert first.scores["accuracy"].value > 0.8
    kept = zx.load(trained).card.scores["validation"]["signature"]
    assert kept.partition("model:")[2][:12] == first.signature.partition("model:")[2][:12]


def test_mistakes_are_one_of_the_projects_own_errors(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match="epoch is not a setting; did you mean epochs"):
        zx.train("classify", data=ROWS, out=out, epoch=3)
    with pytest.raises(FileError, match="there is no file nope.csv"):
        zx.train("classify", data="nope.csv", out=out)
    with pytest.raises(DataError, match="it is the label"):
        zx.train("classify", data=[{"text": "a", "stars": 1}], out=out)
    with pytest.raises(ConfigError, match="label is set twice"):
        zx.train("classify", data=ROWS, out=out, **{"data.label": "stars", "label": "stars"})
    stopped = zx.train(
        "classify", data=ROWS, out=out, label="stars", should_stop=lambda: True, **TINY
    )
    assert stopped is None and zx.resume(out) is not None
    for wrong in ({"x"}, 3):
        with pytest.raises((ZhixingError, TypeError)):
            zx.train("classify", data=wrong, out=tmp_path / "other", **TINY)
    assert not (tmp_path / "other").exists()


def test_a_table_is_checked_from_memory() -> None:
    found = zx.check([("same", "x"), ("same", "y"), ("  ", "x")])
    assert {finding.kind for finding in found.findings} >= {"blank_text"} or found.has_errors
    assert found.num_rows == 3


def test_the_public_names_are_listed_and_others_are_unknown() -> None:
    assert set(zx.__all__) <= set(dir(zx))
    with pytest.raises(AttributeError, match="no attribute 'pipelines'"):
        _ = zx.pipelines  # type: ignore[attr-defined]
