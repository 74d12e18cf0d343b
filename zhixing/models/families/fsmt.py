"""FSMT: the original Transformer as fairseq trained it for WMT 2019, an embedding a side.

Source: Vaswani et al. 2017, arXiv:1706.03762; Ng et al. 2019, arXiv:1907.06616.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import bart
from zhixing.models.families.family import head_of, need, padding_of
from zhixing.models.weight_names import Plain, WeightNames

ARCHITECTURES: dict[str, HeadKind] = {
    "FSMTForConditionalGeneration": "next_token",
    "FSMTModel": "next_token",
}
OUTPUT_WEIGHT = "decoder.output_projection.weight"


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read FSMT's `config.json`; a first token's position is the padding id plus one."""
    config = bart.shared_config(
        {
            "activation_function": "relu",
            "scale_embedding": True,
            "tie_word_embeddings": False,
            **values,
            "vocab_size": need(values, "src_vocab_size"),
        },
        head_of(values, ARCHITECTURES),
    )
    return replace(
        config,
        positions="sinusoidal",
        sinusoid="halves_inclusive",
        position_offset=padding_of(values) + 1,
        decoder_vocab_size=None if config.tie_output else need(values, "tgt_vocab_size"),
    )


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write FSMT's `config.json`."""
    values = bart.write_config(config)
    return {
        **{key: value for key, value in values.items() if key != "vocab_size"},
        "src_vocab_size": config.vocab_size,
        "tgt_vocab_size": config.decoder_vocab_size or config.vocab_size,
        "pad_token_id": config.position_offset - 1,
    }


def weight_names(config: ModelConfig) -> WeightNames:
    """Map our weights to FSMT's state-dict names, as BART's but for the embeddings."""
    names = bart.weight_names(config, biases=None)
    entries = dict(names.entries)
    tied: dict[str, str] = {}
    encoder, decoder = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
    if config.decoder_vocab_size is None:
        entries["embedding.tokens.weight"] = Plain(decoder, (encoder, OUTPUT_WEIGHT))
        tied = {encoder: decoder, OUTPUT_WEIGHT: decoder}
    else:
        entries["next_token.output.weight"] = Plain(OUTPUT_WEIGHT)
    return replace(names, entries=entries, tied=tied)
