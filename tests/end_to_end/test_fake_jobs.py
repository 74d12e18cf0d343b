"""Jobs that no workflow knows go every way that the shipped ones go."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import zhixing as zx
from zhixing.errors import CheckpointError, ConfigError
from zhixing.jobs.registry import JOBS, JobEntry
from zhixing.workflows.folds import cross_validate

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "new.vocab_size": 120,
    "new.hidden_size": 16,
    "new.encoder_layers": 1,
    "new.num_heads": 2,
    "new.feed_forward_size": 32,
    "learning_rate": 0.01,
    "precision": "float32",
}
WORDS = ["tree", "lamp", "river", "stone", "cloud", "apple", "chair", "horse"]
REGISTER = """
import sys
sys.path.insert(0, {tests!r})
from zhixing.jobs.registry import JOBS, JobEntry
JOBS[{name!r}] = JobEntry("A fake.", "fakes", "fakes.{name}:USE", "fakes.{name}:LEARN")
from zhixing.cli.main import main
main()
"""


def capitals(path: Path, rows: int) -> Path:
    lines = []
    for i in range(rows):
        words = [WORDS[(i + k) % 8].upper() if k < i % 5 else WORDS[(i + k) % 8] for k in range(4)]
        text = " ".join(words)
        share = sum(c.isupper() for c in text) / sum(c.isalpha() for c in text)
        lines.append({"text": f"{text} {i}", "label": round(share, 4)})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def shouts(path: Path, rows: int) -> Path:
    texts = [f"{WORDS[i % 8]} {WORDS[(i * 3 + 1) % 8]} {WORDS[(i // 8) % 8]}" for i in range(rows)]
    lines = [{"source": text, "target": text.upper()} for text in texts]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


FAKES = {
    "capitals": (capitals, {"new.lowercase": False, "epochs": 2}, "closeness"),
    "shout": (shouts, {"new.decoder_layers": 1, "epochs": 2, "batch_tokens": 512}, "same"),
}


def entry(name: str) -> JobEntry:
    return JobEntry("A fake.", "fakes", f"fakes.{name}:USE", f"fakes.{name}:LEARN")


@pytest.fixture(params=list(FAKES))
def fake(request: pytest.FixtureRequest) -> Iterator[str]:
    JOBS[request.param] = entry(request.param)
    yield request.param
    del JOBS[request.param]


def train(name: str, data: Path, out: Path, **settings: Any) -> Any:
    return zx.train(name, data=data, out=out, model="new", **(SMALL | FAKES[name][1] | settings))


def files_of(name: str) -> tuple[Callable[[Path, int], Path], str]:
    rows, _, metric = FAKES[name]
    return rows, metric


def test_a_fake_job_is_short() -> None:
    for name in FAKES:
        lines = (ROOT / "tests" / "fakes" / f"{name}.py").read_text().splitlines()
        assert len(lines) <= 100


def test_it_is_trained_loaded_scored_rounded_and_asked(fake: str, tmp_path: Path) -> None:
    rows, metric = files_of(fake)
    data = rows(tmp_path / "rows.jsonl", 60)
    finished = train(fake, data, tmp_path / "run")
    assert finished.report.scores[metric].value == pytest.approx(
        json.loads((tmp_path / "run" / "zhixing.json").read_text())["scores"]["validation"][metric][
            "value"
        ]
    )
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Scores" in page and finished.report.signature in page
    model = zx.load(tmp_path / "run")
    assert len(model(["tree lamp", "RIVER stone"])) == 2
    report = zx.evaluate(tmp_path / "run", data=data, out=tmp_path / "e.html")
    assert report.rows == 60 and metric in report.scores
    assert metric in (tmp_path / "e.html").read_text()
    rounded = zx.quantize(tmp_path / "run", data, out=tmp_path / "int8")
    assert rounded.rows == 60 and rounded.bytes_after < rounded.bytes_before
    again = zx.evaluate(tmp_path / "int8", data=data).scores[metric].value
    assert again == pytest.approx(report.scores[metric].value, abs=0.2)


def test_its_end_of_training_and_evaluate_give_one_score(fake: str, tmp_path: Path) -> None:
    rows, metric = files_of(fake)
    held = rows(tmp_path / "held.jsonl", 24)
    data = rows(tmp_path / "rows.jsonl", 60)
    finished = train(fake, data, tmp_path / "run", validation=held)
    assert finished.report.scores == zx.evaluate(tmp_path / "run", data=held).scores


def test_it_is_cross_validated(fake: str, tmp_path: Path) -> None:
    rows, metric = files_of(fake)
    data = rows(tmp_path / "rows.jsonl", 30)
    spread = cross_validate(
        fake, data, num_folds=2, model="new", settings=SMALL | FAKES[fake][1] | {"max_steps": 2}
    )
    assert spread.metric == metric and len(spread.scores) == 2


def test_killed_and_resumed_it_ends_with_the_same_bits(fake: str, tmp_path: Path) -> None:
    rows, _ = files_of(fake)
    data = rows(tmp_path / "rows.jsonl", 200)
    code = REGISTER.format(tests=str(ROOT / "tests"), name=fake)
    settings = [f"{k}={v}" for k, v in (SMALL | FAKES[fake][1] | {"epochs": 12}).items()]
    words = ["train", fake, "--data", str(data), "--model", "new", *settings, "--out"]
    # The same bits are promised for the same number of threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(*arguments: str) -> list[str]:
        return [sys.executable, "-c", code, *arguments]

    alike: dict[str, Any] = {"env": environment, "stdout": subprocess.DEVNULL, "cwd": ROOT}
    subprocess.run(run(*words, str(tmp_path / "unbroken")), check=True, **alike)
    killed = run(*words, str(tmp_path / "killed"), "snapshot_steps=1")
    running = subprocess.Popen(killed, **alike)
    snapshots = tmp_path / "killed" / "snapshots"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(snapshots.glob("step-*/sha256.json")):
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "killed" / "config.json").exists()
    done = subprocess.run(
        run("resume", str(tmp_path / "killed")),
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "going on after step" in done.stdout + done.stderr
    weights = [
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("unbroken", "killed")
    ]
    assert weights[0] == weights[1]


def test_a_file_of_rows_and_the_command_line(
    fake: str, tmp_path: Path, command: Callable[..., Any]
) -> None:
    rows, metric = files_of(fake)
    data = rows(tmp_path / "rows.jsonl", 40)
    settings = [f"{k}={v}" for k, v in (SMALL | FAKES[fake][1]).items()]
    told = command(
        "train", fake, "--data", data, "--out", tmp_path / "run", "--model", "new", *settings
    )
    assert told.status == 0, told.err
    assert metric in told.out and f"next    zhixing {fake}" in told.out
    told = command(fake, tmp_path / "run", "tree lamp", "--json")
    assert told.status == 0 and len(json.loads(told.out)) == 1
    out = tmp_path / "out.jsonl"
    told = command(fake, tmp_path / "run", "--input", data, "--output", out)
    assert told.status == 0, told.err
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(1, 41))
    assert metric in command("evaluate", tmp_path / "run", "--data", data).out
    assert (
        "weights"
        in command("quantize", tmp_path / "run", "--data", data, "--out", tmp_path / "int8").out
    )
    assert command("check", data).status == 0
    told = command("inspect", tmp_path / "run", "tree lamp", "--out", tmp_path / "look.html")
    assert told.status == 0 and "tree lamp" in (tmp_path / "look.html").read_text()
    assert "learning_rate=" in command("train", fake, "--model", "new", "--settings").out
    assert fake in command("--help").out


def test_settings_of_other_tasks_are_refused_by_name(fake: str, tmp_path: Path) -> None:
    rows, _ = files_of(fake)
    data = rows(tmp_path / "rows.jsonl", 20)
    with pytest.raises(ConfigError, match="data.class_weights would change nothing"):
        train(fake, data, tmp_path / "run", class_weights="balanced")
    with pytest.raises(ConfigError, match="data.pair would change nothing"):
        train(fake, data, tmp_path / "run", pair="label")


def test_a_folder_of_a_job_that_is_not_here_says_so(tmp_path: Path) -> None:
    JOBS["capitals"] = entry("capitals")
    try:
        train("capitals", capitals(tmp_path / "rows.jsonl", 20), tmp_path / "run", max_steps=1)
    finally:
        del JOBS["capitals"]
    with pytest.raises(CheckpointError, match="trained for the task 'capitals', which this ver"):
        zx.load(tmp_path / "run")
