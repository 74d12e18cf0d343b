"""Each encoder-decoder family against the reference library: random weights, float64, ragged.

The reference runs one pair of sequences at a time, without padding. The sinusoids of the reference
are float32 tables, and its RMS norm computes in float32; both are lifted to float64 here, and held
against the originals in tests of their own.
"""

import copy
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
from transformers import AutoModelForSeq2SeqLM
from transformers.models.t5.modeling_t5 import T5LayerNorm

from zhixing.checkpoints.pretrained import load_pretrained, save_pretrained
from zhixing.layers.feed_forward import activation_named
from zhixing.layers.positions import RelativeBias, sinusoids
from zhixing.layers.ragged import Ragged
from zhixing.models.transformer import Transformer

SOURCES, TARGETS = (5, 1, 12, 3), (3, 7, 1, 9)
BART = {
    "vocab_size": VOCAB,
    "d_model": 12,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "max_position_embeddings": 24,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "forced_eos_token_id": 3,
    "decoder_start_token_id": 3,
}
T5 = {
    "vocab_size": VOCAB,
    "d_model": 12,
    "d_kv": 5,
    "d_ff": 20,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 10,
    "decoder_start_token_id": 0,
}
FSMT = {**BART, "src_vocab_size": VOCAB, "tgt_vocab_size": VOCAB - 3, "langs": ["en", "de"]}


@dataclass(frozen=True)
class Case:
    """One architecture of the reference library, with settings that are not the usual ones."""

    family: str
    settings: dict[str, Any] = field(default_factory=dict)
    head: str = "ForConditionalGeneration"

    def __str__(self) -> str:
        told = [f"{key}={value}" for key, value in self.settings.items()]
        return "-".join([self.family + self.head, *told])

    def build(self) -> nn.Module:
        sizes = {"T5": T5, "MT5": T5, "FSMT": FSMT}.get(self.family, BART)
        config = getattr(transformers, f"{self.family}Config")(**{**sizes, **self.settings})
        head = "MTModel" if self.family == "Marian" and self.head != "Model" else self.head
        torch.manual_seed(0)
        model: nn.Module = getattr(transformers, self.family + head)(config)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if not is_sinusoid(name, self.family):
                    parameter.normal_(std=0.2, generator=generator)
            biases = dict(model.named_buffers()).get("final_logits_bias")
            if biases is not None:
                biases.normal_(generator=generator)
        return model.eval()


FAMILIES = ("FSMT", "Marian", "Bart", "MBart", "T5", "MT5", "M2M100")
PLAIN = [Case(family) for family in FAMILIES]
VARIED = [
    *(Case(f, {"scale_embedding": True}) for f in ("Marian", "Bart", "MBart")),
    Case("M2M100", {"scale_embedding": False}),
    Case("FSMT", {"scale_embedding": False}),
    *(Case(f, {"activation_function": a}) for f in ("Marian", "MBart") for a in ("swish", "relu")),
    Case("M2M100", {"pad_token_id": 1}),
    Case("FSMT", {"tie_word_embeddings": True, "tgt_vocab_size": VOCAB}),
    Case("Marian", {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": VOCAB - 7}),
    Case("Marian", {"max_position_embeddings": 64}),
    Case("T5", {"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}),
    Case("T5", {"feed_forward_proj": "gated-silu", "layer_norm_epsilon": 1e-3}),
    Case("MT5", {"feed_forward_proj": "relu"}),
    Case("T5", {"relative_attention_num_buckets": 32, "relative_attention_max_distance": 128}),
]
# The reference's bare FSMT model has its head on all the same.
BODIES = [Case(family, head="Model") for family in FAMILIES]


def is_sinusoid(name: str, family: str) -> bool:
    return "embed_positions" in name and family in ("FSMT", "Marian", "M2M100")


@torch.no_grad()
def publish(case: Case, folder: Path) -> nn.Module:
    """Save a reference model as its makers would; give it back in float64 throughout."""
    reference = case.build()
    reference.save_pretrained(folder)
    words().save_pretrained(folder)
    return in_double(reference, case)


@torch.no_grad()
def in_double(reference: nn.Module, case: Case) -> nn.Module:
    reference = reference.double()
    kind = "halves" if case.family == "Marian" else "halves_inclusive"
    for name, module in reference.named_modules():
        if name.endswith("embed_positions") and is_sinusoid(name, case.family):
            table = module.weights if case.family == "M2M100" else module.weight
            exact = sinusoids(torch.arange(len(table)), table.size(1), kind=kind)
            if case.family != "Marian":
                exact[module.padding_idx] = 0.0
            assert float((table - exact).abs().max()) < 1e-5
            table.copy_(exact)
    return reference


@pytest.fixture(autouse=True)
def _norms_in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: T5LayerNorm, x: Tensor) -> Tensor:
        spread = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(spread + self.variance_epsilon))

    for name in ("t5.modeling_t5.T5LayerNorm", "mt5.modeling_mt5.MT5LayerNorm"):
        monkeypatch.setattr(f"transformers.models.{name}.forward", forward)
    # FSMT hides the future by a number that float32, where it is made, cannot hold.
    hidden = "transformers.models.fsmt.modeling_fsmt.fill_with_neg_inf"
    monkeypatch.setattr(hidden, lambda x: torch.full_like(x, torch.finfo(x.dtype).min))


def pairs() -> tuple[list[Tensor], list[Tensor]]:
    """Give sources and outputs; from 5 on, as special ids have no positions in some families."""
    generator = torch.Generator().manual_seed(2)
    both = (
        [torch.randint(5, VOCAB - 7, (n,), generator=generator) for n in ns]
        for ns in (SOURCES, TARGETS)
    )
    sources, targets = both
    return sources, targets


@torch.no_grad()
def theirs(reference: nn.Module) -> Tensor:
    rows = []
    for source, target in zip(*pairs(), strict=True):
        out = reference(input_ids=source[None], decoder_input_ids=target[None], use_cache=False)
        rows.append((out.logits if "logits" in out else out.last_hidden_state)[0])
    return torch.cat(rows)


@torch.no_grad()
def ours(model: Transformer) -> Tensor:
    sources, targets = pairs()
    states = model.decoder_states(Ragged.of(sources), Ragged.of(targets))
    return states if model.next_token is None else model.next_logits(states)


def difference(reference: nn.Module, model: Transformer) -> float:
    left, right = theirs(reference), ours(model)
    assert left.shape == right.shape
    assert left.dtype == right.dtype == torch.float64
    return float((left - right).abs().max())


@pytest.mark.parametrize("case", [*PLAIN, *VARIED, *BODIES], ids=str)
def test_the_numbers_are_those_of_the_reference(case: Case, tmp_path: Path) -> None:
    reference = publish(case, tmp_path)
    loaded = load_pretrained(tmp_path)
    assert loaded.fresh == ()
    assert difference(reference, copy.deepcopy(loaded.model).double()) < TOLERANCE


@pytest.mark.parametrize("case", [*PLAIN, *VARIED, *BODIES], ids=str)
def test_the_reference_opens_what_we_save(case: Case, tmp_path: Path) -> None:
    reference = publish(case, tmp_path / "theirs")
    loaded = load_pretrained(tmp_path / "theirs")
    save_pretrained(loaded, tmp_path / "ours")
    opener = transformers.AutoModel if case.head == "Model" else AutoModelForSeq2SeqLM
    opened, info = opener.from_pretrained(tmp_path / "ours", output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert all(is_sinusoid(name, case.family) for name in info[kind]), (kind, info[kind])
    after = theirs(in_double(opened.eval(), case))
    assert float((theirs(reference) - after).abs().max()) < TOLERANCE
    assert load_pretrained(tmp_path / "ours").config == loaded.config


@pytest.mark.parametrize("case", [*PLAIN, *VARIED], ids=str)
def test_reading_step_by_step_equals_reading_at_once(case: Case, tmp_path: Path) -> None:
    publish(case, tmp_path)
    model = load_pretrained(tmp_path).model.double()
    sources, _ = pairs()
    generator = torch.Generator().manual_seed(3)
    outputs = torch.randint(5, VOCAB - 7, (len(sources), 15), generator=generator)
    with torch.no_grad():
        states = model.decoder_states(Ragged.of(sources), Ragged.of(list(outputs)))
        at_once = model.next_logits(states).view(*outputs.shape, -1)
        prompts = Ragged.of(list(outputs[:, :1]))
        states, state = model.start(Ragged.of(sources), prompts)
        assert float((model.next_logits(states) - at_once[:, 0]).abs().max()) < 1e-10
        for position in range(1, outputs.size(1)):
            states, state = model.step(outputs[:, position], state)
            logits = model.next_logits(states)
            assert float((logits - at_once[:, position]).abs().max()) < 1e-10


def swap_norms(model: Transformer) -> None:
    block = model.decoder.blocks[1]
    first, second = block.cross_residual.norm, block.attention_residual.norm
    block.cross_residual.norm, block.attention_residual.norm = second, first


def another_activation(model: Transformer) -> None:
    forward = model.decoder.blocks[0].feed_forward
    forward.activation = activation_named(
        "gelu_tanh" if forward.activation is activation_named("gelu") else "gelu"
    )


def another_epsilon(model: Transformer) -> None:
    model.decoder.blocks[0].cross_residual.norm.eps *= 10


def offset_by_one(model: Transformer) -> None:
    bias = model.decoder.position_bias
    if bias is None:
        model.decoder_embedding.position_offset += 1
    else:
        buckets = bias.buckets
        bias.buckets = lambda distance: buckets(distance - 1)


@torch.no_grad()
def swap_query_and_key(model: Transformer) -> None:
    crossing = model.decoder.blocks[0].cross_attention
    for name, parameter in crossing.key_value.named_parameters():
        other = getattr(crossing.query, name)
        key = parameter[: len(other)].clone()
        parameter[: len(other)] = other
        other.copy_(key)


def another_scale(model: Transformer) -> None:
    model.decoder_embedding.scale = 2.0 if model.decoder_embedding.scale == 1.0 else 1.0


def decoder_sees_the_future(model: Transformer) -> None:
    model.decoder.is_causal = False


def layers_reversed(model: Transformer) -> None:
    model.decoder.blocks = nn.ModuleList(reversed(list(model.decoder.blocks)))


FAULTS: tuple[Callable[[Transformer], None], ...] = (
    swap_norms,
    another_activation,
    another_epsilon,
    offset_by_one,
    swap_query_and_key,
    another_scale,
    decoder_sees_the_future,
    layers_reversed,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_a_planted_fault_is_seen(
    case: Case, fault: Callable[[Transformer], None], tmp_path: Path
) -> None:
    reference = publish(case, tmp_path)
    model = load_pretrained(tmp_path).model.double()
    fault(model)
    assert difference(reference, model) > SEEN


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_a_fault_planted_into_the_head_is_seen(case: Case, tmp_path: Path) -> None:
    reference = publish(case, tmp_path)
    model = load_pretrained(tmp_path).model.double()
    if model.next_token.output.bias is None:
        model.next_token.scale = 0.5
    else:
        with torch.no_grad():
            model.next_token.output.bias.zero_()
    assert difference(reference, model) > SEEN


def test_an_rms_norm_is_the_references() -> None:
    x = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    own = nn.RMSNorm(12, eps=1e-6)
    reference = T5LayerNorm(12, eps=1e-6)
    torch.testing.assert_close(own(x), reference(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize("is_causal", [False, True])
def test_distances_fall_into_the_references_buckets(is_causal: bool) -> None:
    distance = torch.arange(-300, 301).unsqueeze(0)
    expected = transformers.models.t5.modeling_t5.T5Attention._relative_position_bucket(
        distance, bidirectional=not is_causal, num_buckets=32, max_distance=128
    )
    bias = RelativeBias(2, num_buckets=32, max_distance=128, is_causal=is_causal)
    assert torch.equal(bias.buckets(distance), expected)


@pytest.mark.parametrize("family", ["T5", "MT5"])
def test_a_table_for_output_alone_is_read(family: str, tmp_path: Path) -> None:
    case = Case(family, {"tie_word_embeddings": False})
    reference = publish(case, tmp_path / "theirs")
    weights = load_file(tmp_path / "theirs" / "model.safetensors")
    table = torch.randn(VOCAB, 12, generator=torch.Generator().manual_seed(7))
    save_file({**weights, "lm_head.weight": table}, tmp_path / "theirs" / "model.safetensors")
    with torch.no_grad():
        reference.lm_head.weight = nn.Parameter(table.double())
    loaded = load_pretrained(tmp_path / "theirs")
    assert not loaded.config.tie_output
    assert difference(reference, copy.deepcopy(loaded.model).double()) < TOLERANCE
    save_pretrained(loaded, tmp_path / "ours")
    assert load_pretrained(tmp_path / "ours").config == loaded.config
