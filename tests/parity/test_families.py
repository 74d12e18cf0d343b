"""Each family against the reference library: all weights random, float64, ragged.

The reference runs one sequence at a time, without padding. Every test of equality here has been
seen to fail: `test_a_planted_fault_is_seen` plants the usual mistakes into our side, one by one.
"""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from parity.reference import SEEN, TOLERANCE, VOCAB, words
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from zhixing.checkpoints.pretrained import Pretrained, load_pretrained, save_pretrained
from zhixing.layers.feed_forward import activation_named
from zhixing.layers.ragged import Ragged
from zhixing.models.transformer import Transformer

LENGTHS = (5, 1, 12, 3)
BERT = {
    "vocab_size": VOCAB,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 24,
}
DISTILBERT = {
    "vocab_size": VOCAB,
    "dim": 12,
    "n_layers": 2,
    "n_heads": 3,
    "hidden_dim": 20,
    "max_position_embeddings": 24,
}


@dataclass(frozen=True)
class Case:
    """One architecture of the reference library, with settings that are not the usual ones."""

    family: str
    head: str
    settings: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        told = [f"{key}={value}" for key, value in {**self.settings, **self.options}.items()]
        return "-".join([self.family + self.head, *told])

    def build(self) -> nn.Module:
        config_class = getattr(transformers, f"{self.family}Config")
        sizes = DISTILBERT if self.family == "DistilBert" else BERT
        config = config_class(**{**sizes, "num_labels": 3, **self.settings})
        torch.manual_seed(0)
        model: nn.Module = getattr(transformers, self.family + self.head)(config, **self.options)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.2, generator=generator)
        return model.eval()


BODY, CLASSIFIER, MASKED = "Model", "ForSequenceClassification", "ForMaskedLM"
BERT_LIKE = ("Bert", "Roberta", "XLMRoberta")
HEADS = [Case(f, h) for f in (*BERT_LIKE, "DistilBert") for h in (BODY, CLASSIFIER, MASKED)]
VARIED = [
    *(Case(f, BODY, {}, {"add_pooling_layer": False}) for f in BERT_LIKE),
    *(Case(f, MASKED, {"hidden_act": a}) for f in BERT_LIKE for a in ("gelu_new", "relu", "silu")),
    *(Case("DistilBert", MASKED, {"activation": a}) for a in ("gelu_new", "relu", "silu")),
    *(Case(f, CLASSIFIER, {"hidden_act": "gelu_pytorch_tanh"}) for f in BERT_LIKE),
    *(Case(f, MASKED, {"layer_norm_eps": eps}) for f in BERT_LIKE for eps in (1e-5, 1e-2)),
    *(Case(f, BODY, {"type_vocab_size": n}) for f in BERT_LIKE for n in (1, 3)),
    *(Case(f, CLASSIFIER, {"pad_token_id": i}) for f in BERT_LIKE for i in (0, 1, 4)),
    *(Case(f, CLASSIFIER, {"classifier_dropout": 0.3}) for f in BERT_LIKE),
    Case("Bert", "ForPreTraining"),
    Case("DistilBert", CLASSIFIER, {"seq_classif_dropout": 0.4, "num_labels": 1}),
]


def publish(case: Case, folder: Path, **options: Any) -> nn.Module:
    """Save a reference model as its makers would; give it back in float64."""
    reference = case.build()
    reference.save_pretrained(folder, **options)
    words().save_pretrained(folder)
    return reference.double()


def inputs(token_types: int) -> tuple[list[Tensor], list[Tensor]]:
    # From 5 on: the reference library gives no position to a padding id inside a text.
    generator = torch.Generator().manual_seed(2)
    ids = [torch.randint(5, VOCAB, (n,), generator=generator) for n in LENGTHS]
    types = [torch.randint(0, max(token_types, 1), (n,), generator=generator) for n in LENGTHS]
    return ids, types


@torch.no_grad()
def theirs(reference: nn.Module, ids: list[Tensor], types: list[Tensor] | None) -> list[Tensor]:
    """Give all that the reference computes: hidden states and pooled vectors, or logits."""
    rows: list[list[Tensor]] = []
    for i, own in enumerate(ids):
        with_types = {} if types is None else {"token_type_ids": types[i][None]}
        out = reference(input_ids=own[None], **with_types)
        if "prediction_logits" in out:
            rows.append([out.prediction_logits[0]])
        elif "logits" in out:
            rows.append([out.logits[0] if out.logits.dim() == 3 else out.logits])
        else:
            pooled = out.get("pooler_output")
            rows.append([out.last_hidden_state[0], *([] if pooled is None else [pooled])])
    return [torch.cat(parts) for parts in zip(*rows, strict=True)]


@torch.no_grad()
def ours(model: Transformer, ids: list[Tensor], types: list[Tensor] | None) -> list[Tensor]:
    batch = Ragged.of(ids)
    kinds = None if types is None else torch.cat(types)
    if model.classification is not None:
        return [model.classify(batch, kinds)]
    if model.vocabulary is not None:
        return [model.fill(batch, kinds)]
    states = model(batch, kinds)
    return [states, model.pool(states, batch.lengths)] if model.pooler is not None else [states]


def difference(reference: nn.Module, model: Transformer, *, with_types: bool = True) -> float:
    ids, types = inputs(model.config.token_types)
    told = types if with_types and model.config.token_types else None
    left, right = theirs(reference, ids, told), ours(model, ids, told)
    assert [part.shape for part in left] == [part.shape for part in right]
    assert all(part.dtype == torch.float64 for part in (*left, *right))
    return max(float((a - b).abs().max()) for a, b in zip(left, right, strict=True))


def in_double(loaded: Pretrained) -> Transformer:
    return copy.deepcopy(loaded.model).double()


@pytest.mark.parametrize("case", [*HEADS, *VARIED], ids=str)
def test_the_numbers_are_those_of_the_reference(case: Case, tmp_path: Path) -> None:
    reference = publish(case, tmp_path)
    loaded = load_pretrained(tmp_path)
    model = in_double(loaded)
    assert loaded.fresh == ()
    assert difference(reference, model) < TOLERANCE
    assert difference(reference, model, with_types=False) < TOLERANCE


def auto_class(head: str) -> Any:
    if head == CLASSIFIER:
        return AutoModelForSequenceClassification
    return AutoModel if head == BODY else AutoModelForMaskedLM


@pytest.mark.parametrize("case", [*HEADS, *VARIED], ids=str)
def test_the_reference_opens_what_we_save(case: Case, tmp_path: Path) -> None:
    reference = publish(case, tmp_path / "theirs")
    loaded = load_pretrained(tmp_path / "theirs")
    save_pretrained(loaded, tmp_path / "ours")
    opened, info = auto_class(case.head).from_pretrained(
        tmp_path / "ours", output_loading_info=True, **case.options
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[kind], (kind, info[kind])
    ids, types = inputs(loaded.config.token_types)
    told = types if loaded.config.token_types else None
    before = theirs(reference, ids, told)
    after = theirs(opened.eval().double(), ids, told)
    for left, right in zip(before, after, strict=True):
        assert float((left - right).abs().max()) < TOLERANCE
    assert AutoTokenizer.from_pretrained(tmp_path / "ours")("w1 w7")["input_ids"] == [6, 12]


@pytest.mark.parametrize("case", HEADS, ids=str)
def test_a_saved_configuration_is_the_one_that_was_read(case: Case, tmp_path: Path) -> None:
    publish(case, tmp_path / "theirs")
    loaded = load_pretrained(tmp_path / "theirs")
    save_pretrained(loaded, tmp_path / "ours")
    given = json.loads((tmp_path / "theirs" / "config.json").read_text())
    saved = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert saved["model_type"] == given["model_type"]
    assert saved["architectures"] == given["architectures"]
    assert load_pretrained(tmp_path / "ours").config == loaded.config


def swap_norms(model: Transformer) -> None:
    block = model.encoder.blocks[1]
    first, second = block.attention_residual.norm, block.feed_forward_residual.norm
    block.attention_residual.norm, block.feed_forward_residual.norm = second, first


def another_gelu(model: Transformer) -> None:
    model.encoder.blocks[0].feed_forward.activation = activation_named("gelu_tanh")


def another_epsilon(model: Transformer) -> None:
    model.encoder.blocks[0].attention_residual.norm.eps = 1e-5


def offset_by_one(model: Transformer) -> None:
    model.embedding.position_offset += 1


@torch.no_grad()
def swap_query_and_key(model: Transformer) -> None:
    fused = model.encoder.blocks[0].attention.query_key_value
    for parameter in (fused.weight, fused.bias):
        query, key, value = parameter.clone().chunk(3)
        parameter.copy_(torch.cat((key, query, value)))


def no_token_types(model: Transformer) -> None:
    model.embedding.token_types = None


def layers_reversed(model: Transformer) -> None:
    model.encoder.blocks = nn.ModuleList(reversed(list(model.encoder.blocks)))


BODY_FAULTS: tuple[Callable[[Transformer], None], ...] = (
    swap_norms,
    another_gelu,
    another_epsilon,
    offset_by_one,
    swap_query_and_key,
    no_token_types,
    layers_reversed,
)


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        pytest.param(case, fault, id=f"{case}-{fault.__name__}")
        for case in HEADS
        for fault in BODY_FAULTS
        if case.family != "DistilBert" or fault is not no_token_types
    ],
)
def test_a_planted_fault_is_seen(
    case: Case, fault: Callable[[Transformer], None], tmp_path: Path
) -> None:
    reference = publish(case, tmp_path)
    model = in_double(load_pretrained(tmp_path))
    fault(model)
    assert difference(reference, model) > SEEN


@torch.no_grad()
@pytest.mark.parametrize("family", [*BERT_LIKE, "DistilBert"])
def test_a_fault_planted_into_a_head_is_seen(family: str, tmp_path: Path) -> None:
    reference = publish(Case(family, MASKED), tmp_path / "masked")
    for attribute, value in (("activation", activation_named("gelu_tanh")), ("eps", 1e-5)):
        model = in_double(load_pretrained(tmp_path / "masked"))
        assert model.vocabulary is not None
        setattr(
            model.vocabulary if attribute == "activation" else model.vocabulary.norm,
            attribute,
            value,
        )
        assert difference(reference, model) > SEEN
    model = in_double(load_pretrained(tmp_path / "masked"))
    model.vocabulary.output.bias.zero_()
    assert difference(reference, model) > SEEN

    reference = publish(Case(family, CLASSIFIER), tmp_path / "classifier")
    model = in_double(load_pretrained(tmp_path / "classifier"))
    dense = model.pooler if model.classification.dense is None else model.classification.dense
    dense.bias.zero_()
    assert difference(reference, model) > SEEN


@pytest.mark.parametrize("family", BERT_LIKE)
def test_a_fault_planted_into_the_pooler_is_seen(family: str, tmp_path: Path) -> None:
    reference = publish(Case(family, BODY), tmp_path)
    model = in_double(load_pretrained(tmp_path))
    with torch.no_grad():
        model.pooler.weight.copy_(model.pooler.weight.T.clone())
    assert difference(reference, model) > SEEN


def rename(folder: Path, change: Callable[[str], str]) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({change(name): t for name, t in tensors.items()}, folder / "model.safetensors")


def old_norm_names(name: str) -> str:
    parts = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, old in parts.items():
        name = name.replace(new, old)
    return name


@pytest.mark.parametrize("case", [Case("Bert", h) for h in (BODY, CLASSIFIER, MASKED)], ids=str)
def test_old_names_of_norms_are_read(case: Case, tmp_path: Path) -> None:
    reference = publish(case, tmp_path)
    rename(tmp_path, old_norm_names)
    assert any(name.endswith("gamma") for name in load_file(tmp_path / "model.safetensors"))
    assert difference(reference, in_double(load_pretrained(tmp_path))) < TOLERANCE


@pytest.mark.parametrize(
    ("family", "prefix"),
    [
        ("Bert", "bert."),
        ("Roberta", "roberta."),
        ("XLMRoberta", "roberta."),
        ("DistilBert", "distilbert."),
    ],
)
def test_a_body_is_read_with_and_without_prefix(family: str, prefix: str, tmp_path: Path) -> None:
    body = publish(Case(family, BODY), tmp_path / "body")
    rename(tmp_path / "body", lambda name: prefix + name)
    assert difference(body, in_double(load_pretrained(tmp_path / "body"))) < TOLERANCE
    masked = publish(Case(family, MASKED), tmp_path / "masked")
    rename(tmp_path / "masked", lambda name: name.removeprefix(prefix))
    assert difference(masked, in_double(load_pretrained(tmp_path / "masked"))) < TOLERANCE


@pytest.mark.parametrize("case", HEADS, ids=str)
def test_weights_in_several_files_are_read(case: Case, tmp_path: Path) -> None:
    reference = publish(case, tmp_path, max_shard_size="8KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert difference(reference, in_double(load_pretrained(tmp_path))) < TOLERANCE


@pytest.mark.parametrize("family", [*BERT_LIKE, "DistilBert"])
def test_a_head_comes_off_and_leaves_the_same_body(family: str, tmp_path: Path) -> None:
    whole = publish(Case(family, MASKED), tmp_path)
    loaded = load_pretrained(tmp_path, head="none")
    body = whole.base_model
    ids, types = inputs(loaded.config.token_types)
    told = types if loaded.config.token_types else None
    left = theirs(body, ids, told)[0]
    assert float((left - ours(in_double(loaded), ids, told)[0]).abs().max()) < TOLERANCE
    assert loaded.left_out


def test_a_copied_folder_is_all_that_is_needed(tmp_path: Path) -> None:
    reference = publish(Case("Bert", BODY), tmp_path / "first")
    save_pretrained(load_pretrained(tmp_path / "first"), tmp_path / "second")
    shutil.move(tmp_path / "second", tmp_path / "moved")
    shutil.rmtree(tmp_path / "first")
    assert difference(reference, in_double(load_pretrained(tmp_path / "moved"))) < TOLERANCE
