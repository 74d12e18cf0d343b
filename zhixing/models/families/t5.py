"""T5, FLAN-T5, mT5: relative position bias, pre-norm RMSNorm, linear layers without a bias.

Source: Raffel et al. 2020, arXiv:1910.10683; Shazeer 2020, arXiv:2002.05202 (version 1.1); Xue et
al. 2021, arXiv:2010.11934 (mT5).
"""

from collections.abc import Mapping
from typing import Any

from zhixing.errors import CheckpointError
from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families.family import (
    ACTIVATION_NAMES,
    THEIR_ACTIVATIONS,
    head_of,
    need,
    number_of,
)
from zhixing.models.weight_names import Entry, Plain, Stacked, WeightNames

ARCHITECTURES: dict[str, HeadKind] = {
    "T5ForConditionalGeneration": "next_token",
    "T5Model": "none",
}
POSITION_BIAS = "block.0.layer.0.SelfAttention.relative_attention_bias.weight"


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read T5's `config.json`; version 1.1 says by untied tables that logits are not scaled."""
    is_gated, activation = _activation(values)
    scales = values.get("scale_decoder_outputs")
    is_tied = values.get("tie_word_embeddings", True) is not False
    layers = need(values, "num_layers")
    fields = dict(
        vocab_size=need(values, "vocab_size"),
        hidden_size=need(values, "d_model"),
        encoder_layers=layers,
        decoder_layers=values.get("num_decoder_layers") or layers,
        num_heads=need(values, "num_heads"),
        head_size=need(values, "d_kv"),
        feed_forward_size=need(values, "d_ff"),
        activation=activation,
        is_gated=is_gated,
        norm="pre",
        norm_kind="rms",
        norm_eps=number_of(values, "layer_norm_epsilon", 1e-6),
        linear_bias=False,
        scales_scores=False,
        positions="relative",
        relative_buckets=values.get("relative_attention_num_buckets", 32),
        relative_max_distance=values.get("relative_attention_max_distance", 128),
        max_positions=None,
        embedding_norm=False,
        dropout=number_of(values, "dropout_rate", 0.1),
        attention_dropout=number_of(values, "dropout_rate", 0.1),
        head=head_of(values, ARCHITECTURES),
        tie_output=is_tied,
        output_scale=is_tied if scales is None else scales,
    )
    return ModelConfig.from_dict(fields)


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write T5's `config.json`."""
    name = THEIR_ACTIVATIONS[config.activation]
    if config.is_gated:
        name = "gated-gelu" if config.activation == "gelu_tanh" else f"gated-{name}"
    return {
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "d_model": config.hidden_size,
        "num_layers": config.encoder_layers,
        "num_decoder_layers": config.decoder_layers,
        "num_heads": config.num_heads,
        "d_kv": config.head_size or config.hidden_size // config.num_heads,
        "d_ff": config.feed_forward_size,
        "feed_forward_proj": name,
        "layer_norm_epsilon": config.norm_eps,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "dropout_rate": config.dropout,
        "tie_word_embeddings": config.tie_output,
        "scale_decoder_outputs": config.output_scale,
    }


def weight_names(config: ModelConfig) -> WeightNames:
    """Map our weights to T5's state-dict names."""
    copies = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    entries: dict[str, Entry] = {
        "embedding.tokens.weight": Plain("shared.weight", copies),
        **_block_names("encoder", is_gated=config.is_gated),
        **_block_names("decoder", is_gated=config.is_gated),
    }
    tied = dict.fromkeys(copies, "shared.weight")
    if config.tie_output:
        tied["lm_head.weight"] = "shared.weight"
    elif config.head == "next_token":
        entries["next_token.output.weight"] = Plain("lm_head.weight")
    return WeightNames(
        entries,
        tied=tied,
        # Old checkpoints bear a second bias, which no code ever read.
        ignored=("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",),
        heads=("lm_head.",),
    )


def _activation(values: Mapping[str, Any]) -> tuple[bool, str]:
    """Tell whether the feed-forward network is gated, and its activation."""
    named = values.get("feed_forward_proj", "relu")
    if named == "gated-gelu":
        return True, "gelu_tanh"
    name = named.removeprefix("gated-") if isinstance(named, str) else named
    if name not in ACTIVATION_NAMES:
        allowed = ", ".join(ACTIVATION_NAMES)
        raise CheckpointError(
            f"feed_forward_proj is {named!r}; supported are {allowed}, each with and without "
            f"'gated-' before it"
        )
    return named != name, ACTIVATION_NAMES[name]


def _block_names(side: str, *, is_gated: bool) -> dict[str, Entry]:
    block, layer = f"{side}.blocks.{{i}}.", f"{side}.block.{{i}}.layer."
    first, last = layer + "0.", layer + ("2." if side == "decoder" else "1.")
    inside = ("wi_0", "wi_1") if is_gated else ("wi",)
    entries: dict[str, Entry] = {
        f"{side}.position_bias.weight": Plain(f"{side}.{POSITION_BIAS}"),
        f"{side}.norm.weight": Plain(f"{side}.final_layer_norm.weight"),
        block + "attention.query_key_value.weight": _parts(first + "SelfAttention", "qkv"),
        block + "attention.output.weight": Plain(first + "SelfAttention.o.weight"),
        block + "attention_residual.norm.weight": Plain(first + "layer_norm.weight"),
        block + "feed_forward.expand.weight": _parts(last + "DenseReluDense", inside),
        block + "feed_forward.contract.weight": Plain(last + "DenseReluDense.wo.weight"),
        block + "feed_forward_residual.norm.weight": Plain(last + "layer_norm.weight"),
    }
    if side == "decoder":
        cross = layer + "1.EncDecAttention"
        entries[block + "cross_attention.query.weight"] = Plain(f"{cross}.q.weight")
        entries[block + "cross_attention.key_value.weight"] = _parts(cross, "kv")
        entries[block + "cross_attention.output.weight"] = Plain(f"{cross}.o.weight")
        entries[block + "cross_residual.norm.weight"] = Plain(layer + "1.layer_norm.weight")
    return entries


def _parts(theirs: str, parts: str | tuple[str, ...]) -> Stacked:
    return Stacked(tuple(f"{theirs}.{part}.weight" for part in parts))
