"""What a newcomer and a hostile person type, through the real commands."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars
import pytest
import torch
from safetensors.torch import load_file, save_file

TINY = [
    "--model",
    "new",
    "new.hidden_size=32",
    "new.encoder_layers=1",
    "new.num_heads=2",
    "new.feed_forward_size=64",
    "new.vocab_size=300",
    "learning_rate=0.01",
    "--threads",
    "1",
]
GOOD = b"".join(b"a good film %d,yes\na bad film %d,no\n" % (i, i) for i in range(20))
HEAD = b"text,label\n"

HOSTILE = {
    "empty file": (b"", "is empty: it needs at least one row"),
    "header only": (HEAD, "has no rows"),
    "wrong columns": (b"foo,bar\na,b\n", "--label COLUMN"),
    "one class": (HEAD + b"a,x\nb,x\n", "every row has the label 'x'"),
    "not UTF-8": (HEAD + b"caf\xe9,yes\n" + GOOD, "is not UTF-8 at byte 14 (line 2)"),
    "UTF-16": ("text,label\na,b\n".encode("utf-16"), "is UTF-16, not UTF-8"),
    "NUL bytes": (HEAD + b"a\0b,yes\n" + GOOD, "holds a NUL byte at offset 12 (line 2)"),
    "too few fields": (HEAD + b"a\n" + GOOD, "row 1 (line 2): 1 field, not 2"),
    "too many fields": (HEAD + b"a,b,c\n" + GOOD, "row 1 (line 2): 3 fields, not 2"),
    "open quote": (HEAD + b'"a,b\n' + GOOD, "a quote that is never closed"),
    "blank texts": (HEAD + b"  ,yes\n" + GOOD, "1 text is blank (row 1)"),
    "missing labels": (HEAD + b"a,\nb,NaN\n" + GOOD, "2 labels are missing (rows 1 and 2)"),
    "doubled header": (b"text,text,label\na,b,c\n", 'names "text" more than once'),
}

SETTINGS = {
    "epoch=2": "epoch is not a setting; did you mean epochs?",
    "data.lable=x": "did you mean data.label?",
    "epochs=two": "epochs is 'two'; it has to be a number",
    "max_grad_norm=nan": "max_grad_norm is nan; it has to lie between",
    "epochs=1 epochs=2": "epochs is set twice, to '1' and '2'; keep one",
    "--label label label=label": "label is set twice",
    "label=label data.label=label": "data.label is set twice",
    "batch_size=8 batch_tokens=100": "set exactly one of them above 0",
    "epochs": "'epochs' is not a setting; write key=value",
    "new.max_positions=1": "new.max_positions is 1; a window has to have room for at least 16",
    "metric=bleu": "metric is 'bleu', which this task does not score",
    "label=stars": 'has no column "stars" to take as label=stars',
    "class_weights=some": "class_weights is 'some'; it has to be one of none, balanced",
    "--recipe nope.toml": "nope.toml cannot be read",
    "--folds 1": "num_folds is 1; it must be at least 2",
    "--validation nope.csv": "there is no file nope.csv",
    "--device tpu": "device is 'tpu'; allowed are cpu, cuda, cuda:N and mps",
    "--threads -1": "threads is -1",
}


def refused(outcome, words: str) -> None:
    """Hold the promise: status 2, one line on standard error, no traceback, nothing on stdout."""
    lines = outcome.err.strip().splitlines()
    assert outcome.status == 2, outcome
    assert len(lines) == 1 and lines[0].startswith("zhixing: "), outcome.err
    assert words in lines[0]
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


def test_an_unknown_name_is_refused_before_the_network_is_asked(command) -> None:
    refused(command("fetch", "nope"), "nope cannot be fetched; built in are minilm")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_table_gets_one_sentence(command, tmp_path: Path, name: str) -> None:
    content, words = HOSTILE[name]
    (tmp_path / "bad.csv").write_bytes(content)
    data = ["--data", tmp_path / "bad.csv", "--out", tmp_path / "run"]
    refused(command("train", "classify", *data, *TINY), words)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


@pytest.mark.parametrize("words", SETTINGS)
def test_a_wrong_setting_gets_one_sentence_and_leaves_no_folder(
    command, reviews: Path, tmp_path: Path, words: str
) -> None:
    data = ["--data", reviews / "train.csv", "--out", tmp_path / "run"]
    refused(command("train", "classify", *data, *TINY, *words.split()), SETTINGS[words])
    assert not list(tmp_path.iterdir())


def test_a_missing_file_and_a_folder_are_told_apart(command, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "run"]
    (tmp_path / "folder").mkdir()
    missing = command("train", "classify", "--data", tmp_path / "x.csv", *out)
    refused(missing, f"there is no file {tmp_path / 'x.csv'}")
    refused(command("train", "classify", "--data", tmp_path / "folder", *out), "is a folder")


def test_rows_may_count_more_or_less_or_nothing(command, tmp_path: Path) -> None:
    rows = b"".join(b"a good film %d,yes,2\na bad film %d,no,0.5\n" % (i, i) for i in range(20))
    data = tmp_path / "weighed.csv"
    data.write_bytes(b"text,label,count\n" + rows + b"nonsense,other,0\n")
    train = ("train", "classify", "--data", data, "--weight", "count", *TINY)
    done = command(*train, "--out", tmp_path / "run", "epochs=1", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["report"]["classes"].keys() == {"no", "yes"}
    data.write_bytes(b"text,label,count\na,yes,0\nb,no,0\n")
    refused(command(*train, "--out", tmp_path / "no"), "the column 'count' is 0 in every row")


def test_a_label_that_training_never_saw_is_named_with_its_row(
    command, reviews: Path, tmp_path: Path
) -> None:
    held = tmp_path / "held.csv"
    held.write_bytes(HEAD + b"fine,positive\nso so,neutral\n")
    found = command(
        *("train", "classify", "--data", reviews / "train.csv", "--validation", held),
        *("--out", tmp_path / "run", *TINY),
    )
    refused(found, '1 label that train.csv lacks: "neutral" (row 2)')


def test_a_folder_that_is_there_is_never_lost(command, reviews: Path, tmp_path: Path) -> None:
    keep = tmp_path / "mine" / "keep.txt"
    keep.parent.mkdir()
    keep.write_text("precious")
    data = shutil.copy(reviews / "train.csv", tmp_path / "train.csv")
    train = ["train", "classify", "--data", data, *TINY]
    refused(command(*train, "--out", keep.parent), "add --overwrite")
    refused(command(*train, "--out", keep.parent, "--overwrite"), "holds keep.txt and no model")
    refused(command(*train, "--out", keep), "keep.txt is a file; name a folder to write to")
    refused(command(*train, "--out", keep / "run"), "keep.txt is a file")
    refused(command(*train, "--out", tmp_path / ("x" * 300)), "File name too long")
    assert keep.read_text() == "precious"


def test_what_is_read_is_never_written_over(
    command, trained: Path, reviews: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(trained, tmp_path / "model")
    data = shutil.copy(reviews / "train.csv", model / "train.csv")
    again = ["--out", model, "--overwrite", "--model", model]
    refused(command("train", "classify", "--data", data, *again), "lies in the output folder")
    outside = reviews / "train.csv"
    refused(command("train", "classify", "--data", outside, *again), f"the model {model} lies in")
    place = ["--data", outside, "--out", model, "--overwrite"]
    refused(command("quantize", model, *place), "is the model itself, which would be lost")
    answers = ["--input", data, "--output", data, "--overwrite"]
    refused(command("classify", model, *answers), "is also what is read")
    assert (model / "model.safetensors").read_bytes() == (
        trained / "model.safetensors"
    ).read_bytes()
    assert data.read_bytes() == outside.read_bytes()


def test_a_failed_rehearsal_leaves_the_model_that_was_there(
    command, trained: Path, reviews: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(trained, tmp_path / "model")
    data = ["--data", reviews / "train.csv", "--out", model, "--overwrite"]
    refused(command("train", "classify", *data, *TINY, "metric=bleu"), "does not score")
    assert command("classify", model, "a good film").status == 0


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return spoil


def card(**values: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        whole = json.loads((folder / "zhixing.json").read_text())
        (folder / "zhixing.json").write_text(json.dumps(whole | values))

    return spoil


def settings(**values: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        whole = json.loads((folder / "config.json").read_text())
        whole["settings"] |= values
        (folder / "config.json").write_text(json.dumps(whole))

    return spoil


HEADS = "classification.output.weight"
SPOILED = {
    "missing weight": (weights(lambda t: t.pop(HEADS)), f"{HEADS} is missing"),
    "extra weight": (
        weights(lambda t: t.update(foo=torch.zeros(1))),
        "foo is not a weight of this model",
    ),
    "mis-shaped": (weights(lambda t: t.update({HEADS: torch.zeros(2, 3)})), "shape (2, 3) instead"),
    "NaN weight": (weights(lambda t: t[HEADS].fill_(torch.nan)), "not finite numbers"),
    "pickle": (
        lambda folder: torch.save({"a": 1}, folder / "model.safetensors"),
        "is not a whole safetensors file",
    ),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safe"),
    "cut short": (
        lambda folder: os.truncate(folder / "model.safetensors", 900),
        "is not a whole safetensors file",
    ),
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json does not exist"),
    "broken config": (lambda folder: (folder / "config.json").write_text("{"), "not valid JSON"),
    "wrong heads": (settings(num_heads=3), "hidden_size is 32, which num_heads = 3 does not"),
    "unknown setting": (settings(colour="red"), "colour"),
    "wrong type": (settings(hidden_size="32"), "hidden_size"),
    "labels": (card(labels=["only"]), "names 1 labels, but the model has 2 classes"),
    "temperature": (card(temperature=0), "temperature is 0"),
    "later format": (card(format=9), "upgrade zhixing"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_damaged_model_folder_gets_one_sentence(
    command, trained: Path, tmp_path: Path, name: str
) -> None:
    spoil, words = SPOILED[name]
    folder = shutil.copytree(trained, tmp_path / "model")
    spoil(folder)
    refused(command("classify", folder, "a good film"), words)


USAGE = {
    "": "",
    "frobnicate": "No such command 'frobnicate'; see zhixing --help",
    "train": "Missing argument 'task'; see zhixing train --help",
    "classify m x --precision int4": "'int4' is not one of 'auto', 'float32', 'bfloat16'",
    "classify m": "give either texts, or --input FILE; one of the two",
    "classify m x --input y.csv": "give either texts, or --input FILE; one of the two",
    "classify m x --output y.jsonl": "--output and --text belong to --input FILE",
    "classify nowhere x": "nowhere is neither a model folder nor a built-in model",
    "evaluate m --data x.csv --out r.txt": "r.txt has to end in .json or .html",
    "resume nowhere": "has no run.json; name the --out folder of a training",
    "train rhyme --data x --out y": "task is 'rhyme'; this version trains: classify, translate",
    "train classify --data - --validation - --out y": "standard input is read once",
    "train classify --data - --folds 3 --out y": "--folds reads the rows again",
    "tokenizer show minilm ": "Missing argument 'text'",
}


@pytest.mark.parametrize("words", USAGE)
def test_a_mistyped_command_gets_one_sentence(
    command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command(*words.split())
    if words:
        refused(outcome, USAGE[words])
    else:
        assert (outcome.status, outcome.err) == (2, "") and "Usage: zhixing" in outcome.out
    assert not list(tmp_path.iterdir())


def test_the_three_commands_of_a_newcomer(command, reviews: Path, tmp_path: Path) -> None:
    out, small = tmp_path / "run", tmp_path / "int8"
    data = ["--data", reviews / "train.csv", "--out", out]
    done = command("train", "classify", *data, *TINY, "class_weights=balanced", "epochs=2")
    assert done.status == 0, done.err
    assert f'next    zhixing classify {out} "a text of yours"' in done.out
    assert {"model.safetensors", "report.html", "zhixing.json"} <= set(os.listdir(out))
    assert not [name for name in os.listdir(out) if name.startswith(".")]
    scored = command("evaluate", out, "--data", reviews / "test.csv", "--json")
    assert json.loads(scored.out)["scores"]["accuracy"]["value"] > 0.8
    made = command("quantize", out, "--data", reviews / "test.csv", "--out", small, "--json")
    assert json.loads(made.out)["same_label"] >= 0.95
    assert command("classify", small, "a good lovely film").out.startswith("positive")
    refused(
        command("quantize", small, "--data", reviews / "test.csv", "--out", tmp_path / "x"),
        "is int8 already",
    )


def test_rows_come_from_standard_input_a_pattern_and_parquet(
    command, reviews: Path, tmp_path: Path
) -> None:
    rows = (reviews / "train.csv").read_bytes()
    frame = polars.read_csv(reviews / "train.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_ndjson(tmp_path / "a.jsonl")
    marks = set()
    for i, source in enumerate(["-", tmp_path / "*.parquet", tmp_path / "a.jsonl"]):
        done = command(
            *("train", "classify", "--data", source, "--out", tmp_path / f"{i}", *TINY),
            *("max_steps=2", "--json"),
            stdin=rows,
        )
        assert done.status == 0, done.err
        marks.add(json.loads(done.out)["report"]["signature"])
    assert len(marks) == 1


def test_pairs_multi_label_and_folds_train_and_answer(
    command, reviews: Path, tmp_path: Path
) -> None:
    frame = polars.read_csv(reviews / "train.csv")
    first = polars.col("text")
    frame.with_columns(first.alias("text2")).rename({"label": "[/b]"}).write_csv(
        tmp_path / "pairs.csv"
    )
    paired = ["--data", tmp_path / "pairs.csv", "--label", "[/b]", "--out", tmp_path / "pairs"]
    done = command("train", "classify", *paired, *TINY, "max_steps=2", "--folds", "2")
    assert done.status == 0, done.err
    assert "2 folds: accuracy" in done.err
    several = frame.with_columns(label=polars.concat_str("label", polars.lit("|[/x]:smile:")))
    several.write_csv(tmp_path / "multi.csv")
    multi = ["--data", tmp_path / "multi.csv", "multi_label=true", "--out", tmp_path / "multi"]
    done = command("train", "classify", *multi, *TINY, "max_steps=2")
    assert done.status == 0, done.err
    said = command("classify", tmp_path / "multi", "a [bold] film :smile:")
    assert "a [bold] film :smile:" in said.out and "[/x]:smile:" in said.out


def test_a_file_gets_one_answer_a_row(command, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("good\n\n😀😀\n" + "bad film " * 3000 + "\n")
    asked = ["--input", tmp_path / "in.txt", "--output", tmp_path / "out.jsonl", "--top-k", "1"]
    done = command("classify", trained, *asked, "--threshold", "0.999999")
    assert (done.status, done.err) == (0, "")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == [1, 2, 3, 4]
    assert lines[1]["label"] is None and all(len(line["scores"]) == 1 for line in lines)
    assert lines[3]["coverage"] == {"read": 6000, "total": 6000}
    refused(command("classify", trained, *asked), "out.jsonl exists")
    missing = ["--input", tmp_path / "in.txt", "--output", tmp_path / "no" / "out.jsonl"]
    refused(command("classify", trained, *missing), "cannot be written")


def test_the_looking_commands_leave_their_pages(
    command, trained: Path, reviews: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    assert command("inspect", trained, "a good film", "--out", page).status == 0
    assert "<html" in page.read_text()
    refused(command("inspect", trained, "a good film", "--out", page), "page.html exists")
    report = tmp_path / "report.html"
    scored = ["evaluate", trained, "--data", reviews / "test.csv", "--out", report]
    assert command(*scored).status == 0
    refused(command(*scored), "report.html exists; name another file or add --overwrite")
    shown = command("tokenizer", "show", trained, "good [b]film[/b]", "--json")
    assert {key: value for key, value in json.loads(shown.out)[0].items() if key != "id"} == {
        "piece": "good",
        "start": 0,
        "end": 4,
    }
    words = ["tokenizer", "train", "--data", reviews / "train.csv", "--out", tmp_path / "words"]
    assert "pieces in" in command(*words, "--size", "100").out
    found = command("check", reviews / "train.csv", "--model", trained, "--json")
    assert json.loads(found.out)["lengths"]["unit"] == "tokens"


def test_a_check_that_finds_an_error_ends_with_status_2(command, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(HEAD + b"a\0,yes\n" + GOOD)
    found = command("check", tmp_path / "bad.csv")
    assert found.status == 2 and "NUL byte" in found.out


def started(*words: object) -> subprocess.Popen[bytes]:
    program = "from zhixing.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_ctrl_c_leaves_a_snapshot_and_says_how_to_go_on(reviews: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = started(
        *("train", "classify", "--data", reviews / "train.csv", "--out", out, *TINY, "epochs=999")
    )
    deadline = time.monotonic() + 60
    while not (out / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    said, complaint = run.communicate(timeout=60)
    assert run.returncode == 130, complaint
    assert f"stopped; go on with: zhixing resume {out}" in said.decode()
    assert list((out / "snapshots").iterdir())
    assert b"Traceback" not in complaint


def test_a_reader_that_goes_away_is_no_fault(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a good film\n" * 20_000)
    run = started("classify", trained, "--input", tmp_path / "in.txt", "--threads", "1")
    assert run.stdout is not None and run.stderr is not None
    assert run.stdout.readline().startswith(b'{"row": 1,')
    run.stdout.close()
    assert run.wait(timeout=60) == 1
    assert run.stderr.read() == b""
    run.stderr.close()
