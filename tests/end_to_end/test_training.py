import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_runs import train_model

from zhixing.config import parse_pairs, read_recipe
from zhixing.errors import CheckpointError, ConfigError, DataError, FileError, TrainingError
from zhixing.training.events import Event, Saved, Stepped
from zhixing.training.recipe import Recipe
from zhixing.workflows.load import load
from zhixing.workflows.train import resume

COMMAND = [sys.executable, "-c", "from zhixing.cli.main import main; main()"]
ROWS = [
    f"the {look} film number {i} was {word},{label}"
    for i in range(8)
    for look, word, label in (("old", "fine", "good"), ("new", "poor", "bad"), ("odd", "so", "meh"))
]
SETTINGS: dict[str, Any] = {
    "new.hidden_size": 32,
    "new.encoder_layers": 1,
    "new.num_heads": 2,
    "new.feed_forward_size": 64,
    "new.vocab_size": 200,
    "data.validation_fraction": 0.25,
    "epochs": 6,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "snapshot_steps": 1,
}
STEPS = 30


class Killed(BaseException):
    """Stands for a process that is gone: nothing catches it."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the rows to a file."""
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text("text,label\n" + "\n".join(ROWS) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Train without a break; give the bytes of the weights."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    train_here(data, folder)
    assert not (folder / "snapshots").exists()
    assert [line["step"] for line in lines_of(folder, "step")] == list(range(1, STEPS + 1))
    return weights_of(folder)


def train_here(data: object, folder: Path, *, watch: Any = None, **changes: Any) -> Any:
    """Train in this process."""
    settings = {**SETTINGS, **changes}
    return train_model(
        "classify", data, out=folder, model="new", settings=settings, threads=1, watch=watch
    )


def start_process(data: Path, folder: Path) -> "subprocess.Popen[str]":
    """Begin or go on with a run in a process of its own."""
    words = ["resume", str(folder)]
    if not (folder / "run.json").exists():
        pairs = [f"{name}={value}" for name, value in SETTINGS.items()]
        words = ["train", "classify", *pairs, "--data", str(data), "--out", str(folder)]
        words += ["--model", "new", "--threads", "1"]
    return subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines_of(folder: Path, event: str) -> list[dict[str, Any]]:
    """Read the journal's events of one kind."""
    path = folder / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line for line in map(json.loads, lines) if line["event"] == event]


def num_steps(folder: Path) -> int:
    """Count the steps that the journal names, even while it is written to."""
    path = folder / "metrics.jsonl"
    return path.read_text(encoding="utf-8").count('"event": "step"') if path.exists() else 0


def wait_for_steps(process: "subprocess.Popen[str]", folder: Path, steps: int) -> None:
    """Wait until a run has come so far, or has ended."""
    end = time.monotonic() + 120
    while process.poll() is None and num_steps(folder) < steps and time.monotonic() < end:
        time.sleep(0.002)


def weights_of(folder: Path) -> bytes:
    """Read the file of a finished model's weights."""
    return (folder / "model.safetensors").read_bytes()


def kill_at(step: int) -> Any:
    """Make a watcher that kills the run once a step's snapshot is written."""

    def watch(event: Event | str) -> None:
        if isinstance(event, Saved) and event.step == step:
            raise Killed

    return watch


def broken_run(data: object, folder: Path, *, step: int, **changes: Any) -> list[Path]:
    """Leave a run that was killed after a step; give its snapshots."""
    with pytest.raises(Killed):
        train_here(data, folder, watch=kill_at(step), **changes)
    return sorted((folder / "snapshots").iterdir())


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    data: Path, unbroken: bytes, tmp_path: Path
) -> None:
    folder, draw = tmp_path / "run", random.Random(7)
    targets: Iterator[int] = iter(sorted(draw.sample(range(1, STEPS - 2), 3)))
    kills = 0
    for target in targets:
        process = start_process(data, folder)
        wait_for_steps(process, folder, target)
        time.sleep(draw.uniform(0.0, 0.02))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills == 3
    out, errors = start_process(data, folder).communicate()
    assert "the kept weights are those of step" in out, errors
    assert weights_of(folder) == unbroken
    assert [line["step"] for line in lines_of(folder, "step")] == list(range(1, STEPS + 1))
    left = {path.name for path in folder.iterdir()}
    assert not any("snapshot" in name or "writing" in name or "best" in name for name in left)


def test_ctrl_c_leaves_a_snapshot_and_status_130(
    data: Path, unbroken: bytes, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = start_process(data, folder)
    wait_for_steps(process, folder, 3)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate()
    assert process.returncode == 130
    assert f"go on with: zhixing resume {folder}" in out.replace("\n", "")
    assert "stopping after this step" in errors
    assert any((folder / "snapshots").iterdir())
    assert resume(folder) is not None
    assert weights_of(folder) == unbroken


def test_changed_rows_are_refused_with_both_hashes_and_status_2(data: Path, tmp_path: Path) -> None:
    rows, folder = tmp_path / "rows.csv", tmp_path / "run"
    rows.write_text(data.read_text(encoding="utf-8"), encoding="utf-8")
    broken_run(rows, folder, step=2)
    before = json.loads((folder / "run.json").read_text(encoding="utf-8"))["hashes"]["training"]
    rows.write_text(rows.read_text(encoding="utf-8").replace("fine", "good"), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        resume(folder)
    found = str(caught.value)
    assert f"the training rows have changed since this run began (SHA-256 {before[:12]}" in found
    process = start_process(rows, folder)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.endswith(f"zhixing: {found}\n") and "Traceback" not in errors


@pytest.mark.parametrize("step", [1, 14, STEPS])
def test_a_run_that_is_killed_after_a_snapshot_ends_with_the_same_bytes(
    data: Path, unbroken: bytes, tmp_path: Path, step: int
) -> None:
    broken_run(data, tmp_path / "run", step=step)
    said: list[Event | str] = []
    assert resume(tmp_path / "run", watch=said.append) is not None
    assert said[0] == f"going on after step {step}"
    assert weights_of(tmp_path / "run") == unbroken


def test_a_damaged_snapshot_is_passed_over_and_the_end_is_the_same(
    data: Path, unbroken: bytes, tmp_path: Path
) -> None:
    paths = broken_run(data, tmp_path / "run", step=9)
    assert [path.name for path in paths] == ["step-00000008", "step-00000009"]
    flip(paths[-1] / "model.safetensors")
    said: list[Event | str] = []
    resume(tmp_path / "run", watch=said.append)
    assert str(said[0]).startswith("step-00000009 is damaged and is passed over (")
    assert said[1] == "going on after step 8"
    assert weights_of(tmp_path / "run") == unbroken
    steps = [line["step"] for line in lines_of(tmp_path / "run", "step")]
    assert steps == list(range(1, STEPS + 1))


def test_without_a_whole_snapshot_the_run_begins_anew(
    data: Path, unbroken: bytes, tmp_path: Path
) -> None:
    first, second = broken_run(data, tmp_path / "run", step=5)
    (first / "sha256.json").unlink()
    optimizer = second / "optimizer.safetensors"
    optimizer.write_bytes(optimizer.read_bytes()[:100])
    said: list[Event | str] = []
    resume(tmp_path / "run", watch=said.append)
    assert ["damaged" in str(word) for word in said[:2]] == [True, True]
    assert said[2] == "there is no whole snapshot; the run begins anew"
    assert weights_of(tmp_path / "run") == unbroken


def test_a_run_that_is_complete_is_not_gone_on_with(data: Path, tmp_path: Path) -> None:
    train_here(data, tmp_path / "run", epochs=1)
    with pytest.raises(CheckpointError, match="run is complete; there is nothing to go on with"):
        resume(tmp_path / "run")


def test_a_folder_without_a_run_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no run\.json; name the --out folder"):
        resume(tmp_path)


def test_an_interrupted_run_on_several_labels_from_memory_goes_on(tmp_path: Path) -> None:
    rows = [{"body": f"a {w} film {i}", "tags": f"{w};film"} for i in range(8) for w in ("x", "y")]
    settings = {"data.text": "body", "data.label": "tags", "data.label_separator": ";"}
    changes = {**settings, "data.multi_label": True, "epochs": 2}
    train_here(rows, tmp_path / "whole", **changes)
    broken_run(rows, tmp_path / "run", step=3, **changes)
    assert resume(tmp_path / "run") is not None
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


def test_an_adapter_run_ends_as_a_plain_model_and_resumes_to_the_same_bytes(
    data: Path, tmp_path: Path
) -> None:
    changes = {"lora_rank": 2, "epochs": 2, "dropout": 0.1, "layer_rate_decay": 0.9}
    train_here(data, tmp_path / "whole", **changes)
    broken_run(data, tmp_path / "run", step=4, **changes)
    resume(tmp_path / "run")
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")
    assert b".down" not in weights_of(tmp_path / "run")


def test_a_disk_that_is_too_full_is_told_before_the_first_step(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk:
        free = 2**20

    monkeypatch.setattr("zhixing.workflows.rehearsal.shutil.disk_usage", lambda _: Disk)
    events: list[Event | str] = []
    with pytest.raises(FileError, match=r"run has 1 MiB free, but the run needs about \d+; free"):
        train_here(data, tmp_path / "run", watch=events.append)
    assert not any(isinstance(event, Stepped) for event in events)


def test_a_rate_that_is_too_high_is_one_sentence(data: Path, tmp_path: Path) -> None:
    changes = {
        "learning_rate": 10,
        "warmup_ratio": 0,
        "max_grad_norm": 0,
        "schedule": "constant",
        "epochs": 60,
    }
    with pytest.raises(TrainingError) as caught:
        train_here(data, tmp_path / "run", **changes)
    named = sorted((tmp_path / "run" / "snapshots").iterdir())[-1]
    assert f"{named} is good" in str(caught.value)


@pytest.mark.parametrize("kind", ["one label", "pairs", "several labels", "long texts"])
def test_every_kind_of_classification_learns_eight_rows_by_heart(kind: str, tmp_path: Path) -> None:
    words = ["red fish", "blue bird", "old tree", "new stone"] * 2
    tails = ["swims", "sleeps"]
    texts = [f"{word} {tails[i // 4]}" for i, word in enumerate(words)]
    rows: list[dict[str, Any]] = [
        {"text": text, "label": "yes" if i % 3 else "no"} for i, text in enumerate(texts)
    ]
    changes: dict[str, Any] = {"data.validation_fraction": 0.0, "epochs": 60, "batch_size": 8}
    changes |= {"dropout": 0.0, "snapshot_steps": 0, "new.min_frequency": 1}
    if kind == "pairs":
        rows = [{**row, "pair": tails[i % 2]} for i, row in enumerate(rows)]
        changes["data.pair"] = "pair"
    elif kind == "several labels":
        rows = [{**row, "label": [["a"], ["b"], ["a", "b"]][i % 3]} for i, row in enumerate(rows)]
        changes["data.multi_label"] = True
    elif kind == "long texts":
        rows = [{**row, "text": " ".join([row["text"]] * 12)} for row in rows]
        changes["new.max_positions"] = 16
    train_here(rows, tmp_path / "run", **changes)
    pipeline = load(tmp_path / "run")
    seconds = [row["pair"] for row in rows] if kind == "pairs" else None
    found = pipeline([row["text"] for row in rows], seconds)
    wanted = [x if isinstance(x := row["label"], list) else [x] for row in rows]
    assert [list(result.labels) for result in found] == wanted
    assert all(result.coverage.read == result.coverage.total for result in found)


def test_low_rank_training_changes_only_linear_layers_and_head(data: Path, tmp_path: Path) -> None:
    train_here(data, tmp_path / "base", epochs=1)
    settings = {
        "lora_rank": 2,
        "epochs": 2,
        "learning_rate": 1e-2,
        "data.validation_fraction": 0.25,
    }
    train_model(
        "classify", data, out=tmp_path / "run", model=str(tmp_path / "base"), settings=settings
    )
    base, tuned = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "run"))
    assert set(base) == set(tuned)
    changed = {name for name in base if not torch.equal(base[name], tuned[name])}
    assert any(name.startswith("encoder.") for name in changed)
    assert "classification.output.weight" in changed
    assert not any("norm" in name or name.startswith("embedding.") for name in changed)


def test_the_weights_that_are_kept_are_those_of_the_best_step(data: Path, tmp_path: Path) -> None:
    finished = train_here(data, tmp_path / "run", metric="macro_f1", evaluations_per_epoch=2)
    assert finished is not None and finished.report is not None
    lines = lines_of(tmp_path / "run", "evaluation")
    assert len(lines) >= 12
    best = max(lines, key=lambda line: (line["scores"]["macro_f1"], -line["step"]))
    assert finished.best_step == best["step"]
    found = finished.report.scores["macro_f1"].value
    assert found == pytest.approx(best["scores"]["macro_f1"], abs=1e-6)


def test_a_metric_that_the_task_lacks_is_refused_before_the_first_step(
    data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="metric is 'bleu', which this task does not score; cho"):
        train_here(data, tmp_path / "run", metric="bleu")
    assert lines_of(tmp_path / "run", "step") == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 3}, "epoch is not a setting; did you mean epochs?"),
        ({"new.hiden_size": 8}, "new.hiden_size is not a setting; did you mean new.hidden_size?"),
        ({"batch_size": 4, "batch_tokens": 99}, "batch_size is 4 and batch_tokens is 99; set"),
        ({"lora_rank": 99}, "lora_rank is 99; for this model it lies between 1 and 32"),
        ({"freeze_layers": 2}, "freeze_layers is 2, but the model has 1 layers"),
    ],
)
def test_a_setting_that_does_not_fit_is_named_before_anything_is_written(
    data: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train_here(data, tmp_path / "run", **settings)
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_recipe_and_words_fill_one_configuration(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        'epochs = 2\nbatch_tokens = 512\n[data]\nlabel = "stars"\n[new]\nhidden_size = 64\n'
    )
    recipe = Recipe().changed({**read_recipe(path), **parse_pairs(["epochs=5", "data.text=body"])})
    assert (recipe.training.epochs, recipe.training.batch_size) == (5.0, 0)
    assert (recipe.data.label, recipe.data.text, recipe.new.hidden_size) == ("stars", "body", 64)
    assert Recipe().changed(recipe.to_dict()) == recipe
