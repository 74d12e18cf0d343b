"""Marian, OPUS-MT: BART with sinusoidal positions and no norm on the embeddings.

Source: Junczys-Dowmunt et al. 2018, arXiv:1804.00344; Tiedemann & Thottingal 2020.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import bart
from zhixing.models.families.family import head_of

ARCHITECTURES: dict[str, HeadKind] = {
    "MarianMTModel": "next_token",
    "MarianModel": "none",
}
weight_names = bart.weight_names


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read Marian's `config.json`; its positions have no end, whatever it says."""
    config = bart.shared_config(values, head_of(values, ARCHITECTURES))
    target_table_size = None
    if not values.get("share_encoder_decoder_embeddings", True):
        target_table_size = values.get("decoder_vocab_size") or config.vocab_size
    return replace(
        config,
        positions="sinusoidal",
        sinusoid="halves",
        position_offset=0,
        decoder_vocab_size=target_table_size,
        output_bias=config.head == "next_token",
    )


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write Marian's `config.json`."""
    return {
        **bart.write_config(config),
        "share_encoder_decoder_embeddings": config.decoder_vocab_size is None,
        "decoder_vocab_size": config.decoder_vocab_size or config.vocab_size,
    }
