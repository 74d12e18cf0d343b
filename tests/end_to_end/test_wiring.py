"""What every task gets from the one floor: folds, techniques, one scorer, commands that run."""

import json
import random
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zhixing as zx
from zhixing.checkpoints.pretrained import load_pretrained
from zhixing.errors import CheckpointError, ConfigError, DataError
from zhixing.generation.shortlist import NONE, Shortlist
from zhixing.models.adapters import LowRankLinear
from zhixing.models.transformer import Transformer
from zhixing.training.config import TrainingConfig
from zhixing.training.run_plan import read_plan
from zhixing.training.techniques import apply_techniques
from zhixing.workflows.folds import cross_validate

WORDS = ["tree", "lamp", "river", "stone", "cloud", "apple", "chair", "horse"]
WRITER = {
    "epochs": 1,
    "batch_tokens": 512,
    "learning_rate": 0.01,
    "precision": "float32",
    "new.vocab_size": 60,
    "new.hidden_size": 16,
    "new.encoder_layers": 1,
    "new.decoder_layers": 1,
    "new.num_heads": 2,
    "new.feed_forward_size": 32,
}
READER = {
    "epochs": 1,
    "learning_rate": 0.01,
    "precision": "float32",
    "new.vocab_size": 120,
    "new.hidden_size": 16,
    "new.encoder_layers": 1,
    "new.num_heads": 2,
    "new.feed_forward_size": 32,
}


def pairs(count: int = 60, *, code: str = "") -> dict[str, list[str]]:
    draw = random.Random(0)
    sources = [f"{' '.join(draw.choices(WORDS, k=3))}." for _ in range(count)]
    return {"source": [code + text for text in sources], "target": [s.upper() for s in sources]}


def train(task: str, out: Path, data: Any, **changes: Any) -> Any:
    settings = (READER if task == "classify" else WRITER) | changes
    model = settings.pop("model", "new")
    if model != "new":
        settings = {key: value for key, value in settings.items() if not key.startswith("new.")}
    return zx.train(task, data=data, out=out, model=model, **settings)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wiring") / "writer"
    train("translate", out, pairs())
    return out


@pytest.mark.parametrize("task", ["translate", "summarize"])
def test_folds_work_for_tasks_that_write(task: str) -> None:
    spread = cross_validate(
        task, pairs(), num_folds=2, model="new", settings=WRITER | {"max_steps": 2}
    )
    assert spread.metric == "bleu" and len(spread.scores) == 2


def tensors(model: Transformer) -> dict[str, torch.Tensor]:
    return {name: parameter.clone() for name, parameter in model.named_parameters()}


def test_adapters_are_put_on_encoder_and_decoder(writer: Path, tmp_path: Path) -> None:
    train("translate", tmp_path / "run", pairs(), model=str(writer), lora_rank=2)
    before, after = (
        tensors(load_pretrained(folder).model) for folder in (writer, tmp_path / "run")
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("encoder.blocks") for name in changed)
    assert any("cross_attention" in name for name in changed)
    assert all(name.endswith(".weight") and ".blocks." in name for name in changed)
    model = load_pretrained(writer).model
    apply_techniques(model, TrainingConfig(lora_rank=2))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained and all(name.endswith((".down", ".up")) for name in trained)
    stacks = [model.encoder, model.decoder]
    assert all(any(isinstance(m, LowRankLinear) for m in stack.modules()) for stack in stacks)


def test_layers_of_a_decoder_can_be_frozen(writer: Path, tmp_path: Path) -> None:
    def frozen(count: int) -> set[str]:
        model = load_pretrained(writer).model
        apply_techniques(model, TrainingConfig(freeze_layers=count))
        parameters = model.named_parameters()
        return {name.partition(".")[0] for name, p in parameters if not p.requires_grad}

    assert frozen(1) == {"embedding", "encoder"}
    assert frozen(2) == {"embedding", "encoder", "decoder"}
    with pytest.raises(ConfigError, match="freeze_layers is 3, but the model has 2 layers"):
        frozen(3)


def test_what_a_folder_opens_as_is_what_its_card_says(writer: Path, tmp_path: Path) -> None:
    train("summarize", tmp_path / "summaries", pairs())
    summarizer = zx.load(tmp_path / "summaries")
    assert isinstance(summarizer, zx.Summarizer) and not isinstance(summarizer, zx.Translator)
    assert summarizer("tree lamp.").coverage.total > 0
    assert isinstance(zx.load(writer), zx.Translator)
    card = tmp_path / "summaries" / "zhixing.json"
    values = json.loads(card.read_text())
    card.unlink()
    assert isinstance(zx.load(tmp_path / "summaries"), zx.Translator)
    card.write_text(json.dumps(values | {"task": "dance"}))
    with pytest.raises(CheckpointError, match="trained for the task 'dance', which this version"):
        zx.load(tmp_path / "summaries")


def test_a_text_longer_than_a_summarizer_reads_is_refused(tmp_path: Path) -> None:
    train("summarize", tmp_path / "run", pairs(), **{"new.max_positions": 32})
    summarizer = zx.load(tmp_path / "run")
    whole = "tree lamp. river stone."
    assert summarizer(whole).text == summarizer([whole])[0].text
    with pytest.raises(DataError, match=r"text 2 has \d+ tokens, but the model takes 32 .*parts"):
        summarizer([whole, "tree lamp. " * 40])
    assert summarizer(" ").text == ""


@pytest.mark.parametrize("task", ["classify", "translate", "summarize"])
def test_one_model_has_one_score_on_the_same_rows(task: str, tmp_path: Path) -> None:
    rows: Any = pairs(40)
    # Sentence by sentence and as a whole are two decodings.
    rows = {name: [f"{text} {text}" for text in column] for name, column in rows.items()}
    if task == "classify":
        labels = ["a" if "tree" in text else "b" for text in rows["source"]]
        rows = {"text": rows["source"], "label": labels}
    held = {name: column[:20] for name, column in rows.items()}
    told: list[object] = []
    finished = train(task, tmp_path / "run", rows, validation=held, watch=told.append)
    evaluated = zx.evaluate(tmp_path / "run", data=held)
    assert finished.report.scores == evaluated.scores
    assert finished.report.signature == evaluated.signature
    kept = json.loads((tmp_path / "run" / "zhixing.json").read_text())["scores"]["validation"]
    assert kept["signature"] == evaluated.signature
    if task != "classify":
        assert any("validation during training is decoded greedily" in str(t) for t in told)
        rounded = zx.quantize(tmp_path / "run", held, out=tmp_path / "int8")
        assert rounded.bleu_before == pytest.approx(evaluated.scores["bleu"].value)


@pytest.mark.parametrize(
    ("task", "settings", "names"),
    [
        ("translate", {"class_weights": "balanced"}, "data.class_weights"),
        ("translate", {"max_windows": 3}, "max_windows"),
        ("summarize", {"new.pooling": "first"}, "new.pooling"),
        ("translate", {"new.convolution_width": 5}, "new.convolution_width"),
        ("translate", {"label": "x", "multi_label": True}, "data.label, data.multi_label"),
        ("classify", {"old": "pairs.tsv"}, "data.old"),
        ("classify", {"target": "x"}, "data.target"),
        ("classify", {"new.decoder_layers": 1}, "new.decoder_layers"),
        ("classify", {"new": {"decoder_layers": 1}}, "new.decoder_layers"),
    ],
)
def test_settings_that_a_task_does_not_obey_are_refused_by_name(
    task: str, settings: dict[str, Any], names: str, tmp_path: Path
) -> None:
    rows = {"text": ["a", "b"], "label": ["x", "y"]} if task == "classify" else pairs(4)
    with pytest.raises(ConfigError, match=f"^{names} would change nothing in this training"):
        zx.train(task, data=rows, out=tmp_path / "run", model="new", **settings)
    with pytest.raises(ConfigError, match=r"new\.hidden_size would change .* add --model new"):
        zx.train(task, data=rows, out=tmp_path / "run", model="minilm", **{"new.hidden_size": 8})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rate", "learning_rate"),
        ("warmup", "warmup_ratio"),
        ("clip_norm", "max_grad_norm"),
        ("recompute", "gradient_checkpointing"),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(old: str, new: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{old} is now called {new}$"):
        zx.train("classify", data=[("a", "x")], out=tmp_path / "run", **{old: 1})


def test_a_run_of_an_older_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"format": 1, "task": "classify"}))
    with pytest.raises(CheckpointError, match="written by another version of zhixing; a run goes"):
        read_plan(tmp_path)


def test_alternatives_obey_language_and_shortlist(writer: Path, tmp_path: Path) -> None:
    train("translate", tmp_path / "run", pairs(code=">>fr<< "))
    both = zx.load(tmp_path / "run")
    told = zx.TranslateOptions(target_code=">>fr<<")
    assert zx.alternatives(both, "tree lamp.", count=2, options=told)
    with pytest.raises(DataError, match=r"target_code is '>>es<<', which the model's vocabulary"):
        zx.alternatives(both, "tree", options=zx.TranslateOptions(target_code=">>es<<"))
    sources, example = both.prepare_sentence("tree lamp.", told)
    code = both.text_format.source.id_of(">>fr<<")
    assert example.windows[0].input_ids.tolist()[: len(sources.code)] == [code]
    text_format = both.text_format
    allowed = sorted({*text_format.target.ids(["TREE"])[0], *text_format.settings.end_ids})
    candidates = torch.full((text_format.source.vocab_size, 1), NONE)
    both.shortlist = Shortlist(candidates, torch.tensor(allowed), is_joint=False)
    listed = zx.alternatives(both, "tree lamp.", count=20, options=told)
    assert {each.token for each in listed} <= {text_format.target.piece(i) for i in allowed}


def test_every_next_line_is_a_command_that_runs(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labelled = [{"text": f"{w} {i}", "label": w} for i in range(12) for w in ("tree", "lamp")]
    both = [row | {"pair": f"{row['label']} too"} for row in labelled]
    several = [row | {"label": [row["label"]]} for row in labelled]
    plain, coded = (
        [{"source": a, "target": b} for a, b in zip(*columns.values(), strict=True)]
        for columns in (pairs(), pairs(code=">>fr<< "))
    )
    runs = [
        ("classify", labelled, ()),
        ("classify", both, ()),
        ("classify", several, ("multi_label=true",)),
        ("translate", plain, ()),
        ("translate", coded, ()),
        ("summarize", plain, ()),
    ]
    for number, (task, rows, more) in enumerate(runs):
        data, out = tmp_path / f"{number}.jsonl", tmp_path / f"a run {number}"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        settings = READER if task == "classify" else WRITER
        words = [f"{key}={value}" for key, value in settings.items()]
        told = command("train", task, "--data", data, "--out", out, "--model", "new", *words, *more)
        assert told.status == 0, told.err
        (line,) = [line for line in told.out.splitlines() if line.startswith("next ")]
        program, *arguments = shlex.split(line.removeprefix("next").strip())
        assert program == "zhixing"
        done = command(*arguments)
        assert done.status == 0, f"{line}\n{done.err}"
        assert done.out.strip()
