import json
from pathlib import Path

import pytest

from zhixing.errors import ConfigError, DataError
from zhixing.workflows.evaluate import evaluate


def test_a_report_is_kept_as_json_or_as_a_page(
    trained: Path, reviews: Path, tmp_path: Path
) -> None:
    report = evaluate(trained, reviews / "test.csv", out=tmp_path / "r.json")
    kept = json.loads((tmp_path / "r.json").read_text())
    assert kept["scores"]["accuracy"]["value"] == report.scores["accuracy"].value
    assert kept["data"] == "test.csv" and kept["model"] == str(trained)
    evaluate(trained, reviews / "test.csv", out=tmp_path / "r.html")
    assert report.signature in (tmp_path / "r.html").read_text()


def test_another_form_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"r.txt has to end in .json or .html"):
        evaluate("no such model", "no data", out=tmp_path / "r.txt")


def test_a_label_that_the_model_does_not_know_is_refused(trained: Path) -> None:
    with pytest.raises(DataError, match="1 labels are unknown to the model, the first in row 2"):
        evaluate(trained, [("good", "positive"), ("so", "neutral")])
