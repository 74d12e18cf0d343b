import json
import shutil
from pathlib import Path

import pytest

from zhixing.errors import ConfigError, FileError
from zhixing.workflows.quantize import quantize_model


def test_the_report_is_kept_in_the_folder(trained: Path, reviews: Path, tmp_path: Path) -> None:
    report = quantize_model(trained, reviews / "test.csv", out=tmp_path / "int8")
    kept = json.loads((tmp_path / "int8" / "zhixing.json").read_text())["quantization"]
    assert kept == report.to_dict()
    assert 0.9 <= report.same_label <= 1.0 and report.mean_shift <= report.largest_shift
    with pytest.raises(ConfigError, match="int8 is int8 already"):
        quantize_model(tmp_path / "int8", reviews / "test.csv", out=tmp_path / "again")


def test_texts_without_labels_have_no_accuracy(trained: Path, tmp_path: Path) -> None:
    report = quantize_model(trained, ["a good film"], out=tmp_path / "int8")
    assert report.accuracy_before is None and report.accuracy_after is None


def test_a_model_is_not_replaced_by_its_twin(trained: Path, tmp_path: Path) -> None:
    model = shutil.copytree(trained, tmp_path / "model")
    with pytest.raises(ConfigError, match="model is the model itself, which would be lost"):
        quantize_model(model, ["x"], out=model, overwrite=True)
    with pytest.raises(FileError, match="exists and is not empty"):
        quantize_model(trained, ["x"], out=model)
