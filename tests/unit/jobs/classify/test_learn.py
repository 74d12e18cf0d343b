"""Row weights on their way from a column to a training."""

import json
from pathlib import Path
from typing import Any

import pytest
from tables import make_table
from training_runs import train_model

from zhixing.errors import ConfigError, DataError
from zhixing.jobs.classify.learn import LEARN, label_names
from zhixing.tasks.inference import MAX_THREADS, use_threads
from zhixing.training.recipe import DataChoice
from zhixing.workflows.folds import cross_validate
from zhixing.workflows.load import load
from zhixing.workflows.train import resume

TINY = {
    "new.hidden_size": 16,
    "new.encoder_layers": 1,
    "new.num_heads": 2,
    "new.feed_forward_size": 16,
    "epochs": 1,
    "weight": "w",
}
ROWS = [
    {"text": f"a {word} film {i}", "label": word, "w": 1 + i % 3}
    for i in range(12)
    for word in ("good", "bad")
]


def train(data: object, out: Path, **others: Any) -> Any:
    settings = TINY | others.pop("settings", {})
    return train_model("classify", data, out=out, model="new", settings=settings, **others)


def weighing(*weights: object) -> list[dict[str, object]]:
    return [dict(row, w=weights[i % len(weights)]) for i, row in enumerate(ROWS)]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("is_file", [True, False])
def test_a_weighted_run_is_taken_up_again(tmp_path: Path, is_file: bool) -> None:
    data = written(tmp_path / "rows.jsonl", ROWS) if is_file else ROWS
    calls = iter([False, True])
    stop = {"should_stop": lambda: next(calls, True), "settings": {"batch_size": 4}}
    assert train(data, tmp_path / "run", validation=data, **stop) is None
    finished = resume(tmp_path / "run")
    assert finished is not None and finished.report is not None


def test_a_saved_model_names_its_labels_in_the_order_of_its_logits(tmp_path: Path) -> None:
    settings = {"learning_rate": 1e-2, "epochs": 6, "batch_size": 4}
    train(ROWS, tmp_path / "run", validation=ROWS, settings=settings)
    answers = load(tmp_path / "run")(["a good film 1", "a bad film 1"])
    assert [answer.label for answer in answers] == ["good", "bad"]
    assert min(answer.score for answer in answers) > 0.9


def test_rows_to_score_on_need_no_weights(tmp_path: Path) -> None:
    bare = [{"text": row["text"], "label": row["label"]} for row in ROWS]
    finished = train(ROWS, tmp_path / "run", validation=bare)
    assert finished.report.rows == len(bare)
    table, held = LEARN.read(ROWS, ROWS, DataChoice(weight="w"))
    assert table.weights is not None and held is not None and held.weights is None


def test_weighted_rows_are_cross_validated() -> None:
    spread = cross_validate("classify", ROWS, num_folds=2, model="new", settings=TINY)
    assert len(spread.scores) == 2


def test_folds_are_not_trained_by_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="run them without torchrun"):
        cross_validate("classify", ROWS, num_folds=2, model="new", settings=TINY)


def test_folds_are_scored_by_the_metric_that_was_asked_for() -> None:
    settings = TINY | {"metric": "matthews"}
    spread = cross_validate("classify", ROWS, num_folds=2, model="new", settings=settings)
    assert spread.metric == "matthews"


def test_only_the_proportion_of_weights_matters(tmp_path: Path) -> None:
    few, many = (
        train(weighing(*weights), tmp_path / name, settings={"validation_fraction": 0.0})
        for name, weights in (("few", (1e-40, 2e-40)), ("many", (1e200, 2e200)))
    )
    states = [(f.folder / "model.safetensors").read_bytes() for f in (few, many)]
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            (1e-50, 1.0),
            r"holds 1e-50 in row 1 and 1 elsewhere; weights have to lie within a factor",
        ),
        ((0, 0.0), "the column 'w' is 0 in every row"),
        ((1.0, 10**400), "where a number of at least 0 is needed"),
        ((0, 1), "every row of a weight above 0 has the label 'bad'"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_before_anything_is_written(
    tmp_path: Path, weights: tuple[object, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        train(weighing(*weights), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_columns_of_a_table_read_as_the_same_table() -> None:
    table, _ = LEARN.read(ROWS, None, DataChoice(weight="w"))
    again, _ = LEARN.read(table.to_columns(table.columns), None, DataChoice(weight="w"))
    assert again.fingerprint() == table.fingerprint()


@pytest.mark.parametrize("labels", [["--5", "1"], ["²", "2"], ["10", "9", "-1"]])
def test_odd_numbers_are_labels_like_others(labels: list[str]) -> None:
    table = make_table(["x"] * len(labels), labels)
    assert set(label_names(table)) == set(labels)
    assert label_names(table.with_cells("label", ["10", "9", "-1"][: len(labels)]))[-1] in (
        "10",
        "9",
    )


@pytest.mark.parametrize("threads", [-1, MAX_THREADS + 1, 10**11])
def test_an_impossible_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(ConfigError, match=f"threads is {threads}; give a number from 1 to"):
        use_threads(threads)
