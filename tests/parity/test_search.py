"""Greedy and beam search against the reference library's `generate`, token for token."""

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from zhixing.generation.search import search
from zhixing.generation.settings import read_settings
from zhixing.layers.ragged import Ragged
from zhixing.models.families.known import FAMILIES
from zhixing.models.transformer import Transformer
from zhixing.models.weight_names import read_weights

VOCAB = 23
LENGTHS = (5, 2, 9, 3, 7)
SIZES = {
    "vocab_size": VOCAB,
    "d_model": 12,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "max_position_embeddings": 64,
    "scale_embedding": True,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "forced_eos_token_id": None,
    "decoder_start_token_id": 2,
}
T5 = {
    "vocab_size": VOCAB,
    "d_model": 12,
    "d_kv": 4,
    "d_ff": 20,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "decoder_start_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
BEAMS: list[dict[str, Any]] = [
    {"num_beams": 1},
    {"num_beams": 4},
    {"num_beams": 4, "length_penalty": 0.0},
    {"num_beams": 4, "length_penalty": 2.0},
    {"num_beams": 4, "length_penalty": -1.0},
    {"num_beams": 3, "early_stopping": True},
    {"num_beams": 3, "early_stopping": "never"},
    {"num_beams": 3, "early_stopping": "never", "length_penalty": 0.0},
    {"num_beams": 1, "forced_bos_token_id": 5, "forced_eos_token_id": 1},
    {"num_beams": 4, "forced_bos_token_id": 5, "forced_eos_token_id": 1},
    {"num_beams": 1, "bad_words_ids": [[3], [7]], "suppress_tokens": [8]},
    {"num_beams": 4, "bad_words_ids": [[3], [7]], "suppress_tokens": [8]},
    {"num_beams": 1, "no_repeat_ngram_size": 2},
    {"num_beams": 4, "no_repeat_ngram_size": 3},
    {"num_beams": 1, "repetition_penalty": 1.7},
    {"num_beams": 4, "repetition_penalty": 1.3},
    {"num_beams": 4, "eos_token_id": [1, 4]},
    {"num_beams": 1, "eos_token_id": [1, 4]},
]


def drawn(family: str, seed: int) -> tuple[nn.Module, Transformer]:
    """Give the reference's model and ours, with the same weights: peaked enough to end at times."""
    name = {"marian": "Marian", "t5": "T5", "m2m_100": "M2M100"}[family]
    config = getattr(transformers, f"{name}Config")(**(T5 if family == "t5" else SIZES))
    head = "MTModel" if family == "marian" else "ForConditionalGeneration"
    reference: nn.Module = getattr(transformers, name + head)(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in reference.named_parameters():
            if "embed_positions" not in key:
                parameter.normal_(std=0.5, generator=generator)
        # Without this a small model ends too seldom to try what happens then.
        reference.get_output_embeddings().weight[1] *= 3.0
    values = {**config.to_dict(), "architectures": [type(reference).__name__]}
    own = FAMILIES[family].read_config(values)
    names = FAMILIES[family].weight_names(own).expanded(own.encoder_layers, own.decoder_layers)
    reading = read_weights(names, reference.state_dict())
    model = Transformer(own)
    model.load_state_dict(reading.weights, strict=False)
    return reference, model


def sources(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, VOCAB, (n,), generator=generator) for n in LENGTHS]


def theirs(reference: nn.Module, ids: Tensor, options: dict[str, Any]) -> Any:
    return reference.generate(
        ids[None],
        max_length=16,
        do_sample=False,
        num_return_sequences=options["num_beams"],
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )


@pytest.mark.parametrize("options", BEAMS, ids=str)
@pytest.mark.parametrize("family", ["marian", "t5", "m2m_100"])
def test_every_hypothesis_is_the_references(family: str, options: dict[str, Any]) -> None:
    ends = 0
    if family == "m2m_100":
        # The reference gives a padding id no position, wherever it stands.
        options = {**options, "suppress_tokens": [0, *options.get("suppress_tokens", [])]}
    for seed in range(3):
        reference, model = drawn(family, seed)
        told = {**reference.generation_config.to_dict(), **options, "max_length": 16}
        settings = read_settings({}, told)
        settings = settings.changed(num_results=settings.num_beams)
        inputs = sources(seed)
        found = search(model, Ragged.of(inputs), settings, sequences=len(inputs))
        for own, hypotheses in zip(inputs, found, strict=True):
            expected = theirs(reference, own, options)
            rows = expected.sequences[:, 1:].tolist()
            for i, hypothesis in enumerate(hypotheses):
                ids = list(hypothesis.ids)
                assert ids == rows[i][: len(ids)]
                assert all(one in (0, *settings.end_ids) for one in rows[i][len(ids) :])
                if settings.num_beams > 1:
                    score = float(expected.sequences_scores[i])
                    assert abs(hypothesis.score - score) < 1e-4 * max(1.0, abs(score))
            ends += sum(hypothesis.has_ended for hypothesis in hypotheses)
    assert ends >= 5
