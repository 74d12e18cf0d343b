"""BART: a bidirectional encoder, an autoregressive decoder, post-norm, learned positions.

Source: Lewis et al. 2020, arXiv:1910.13461.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zhixing.errors import CheckpointError
from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families.family import (
    THEIR_ACTIVATIONS,
    activation_of,
    head_of,
    need,
    number_of,
)
from zhixing.models.weight_names import Entry, Plain, Row, WeightNames, dense, norm, stacked

ARCHITECTURES: dict[str, HeadKind] = {
    "BartForConditionalGeneration": "next_token",
    "BartModel": "none",
}
# Rows of the position table before that of a first token, in every checkpoint there is.
POSITION_OFFSET = 2
# What a decoder's settings may not differ in from the encoder's.
SHARED_SETTINGS = ("attention_heads", "ffn_dim")


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read BART's `config.json`."""
    config = shared_config(values, head_of(values, ARCHITECTURES))
    return replace(config, embedding_norm=True, output_bias=config.head == "next_token")


def shared_config(values: Mapping[str, Any], head: HeadKind) -> ModelConfig:
    """Read the keys that BART and the families after it have in common.

    Raises:
        CheckpointError: If encoder and decoder are of different widths.
    """
    for name in SHARED_SETTINGS:
        sides = [need(values, f"{side}_{name}") for side in ("encoder", "decoder")]
        if sides[0] != sides[1]:
            raise CheckpointError(
                f"encoder_{name} is {sides[0]} and decoder_{name} is {sides[1]}; supported are "
                f"models whose encoder and decoder are equally wide"
            )
    fields = dict(
        vocab_size=need(values, "vocab_size"),
        hidden_size=need(values, "d_model"),
        encoder_layers=need(values, "encoder_layers"),
        decoder_layers=need(values, "decoder_layers"),
        num_heads=need(values, "encoder_attention_heads"),
        feed_forward_size=need(values, "encoder_ffn_dim"),
        activation=activation_of(values, "activation_function", "gelu"),
        norm_eps=1e-5,
        max_positions=values.get("max_position_embeddings", 1024),
        position_offset=POSITION_OFFSET,
        embedding_norm=False,
        embedding_scale=values.get("scale_embedding") or False,
        dropout=number_of(values, "dropout", 0.1),
        attention_dropout=number_of(values, "attention_dropout", 0.0),
        head=head,
        tie_output=values.get("tie_word_embeddings", True),
        initial_std=number_of(values, "init_std", 0.02),
    )
    return ModelConfig.from_dict(fields)


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write the keys that BART and the families after it have in common."""
    sides = {
        f"{side}_{key}": value
        for side in ("encoder", "decoder")
        for key, value in (
            ("layers", getattr(config, f"{side}_layers")),
            ("attention_heads", config.num_heads),
            ("ffn_dim", config.feed_forward_size),
        )
    }
    return {
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "d_model": config.hidden_size,
        **sides,
        "activation_function": THEIR_ACTIVATIONS[config.activation],
        "max_position_embeddings": config.max_positions,
        "scale_embedding": config.embedding_scale,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "tie_word_embeddings": config.tie_output,
        "init_std": config.initial_std,
    }


def weight_names(config: ModelConfig, *, biases: str | None = "final_logits_bias") -> WeightNames:
    """Map our weights to the state-dict names of BART and the families after it.

    Args:
        config: Decides about separate tables, learned positions and norms.
        biases: Their name of what is added to the logits.
    """
    entries = {**_block_names("encoder"), **_block_names("decoder")}
    tied: dict[str, str] = {}
    if config.decoder_vocab_size is None:
        copies = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
        entries["embedding.tokens.weight"] = Plain("shared.weight", (*copies, "lm_head.weight"))
        tied = dict.fromkeys(copies, "shared.weight")
    else:
        entries["embedding.tokens.weight"] = Plain("encoder.embed_tokens.weight")
        entries["decoder_embedding.tokens.weight"] = Plain("decoder.embed_tokens.weight")
    for ours, side in (("embedding", "encoder"), ("decoder_embedding", "decoder")):
        if config.positions == "learned":
            entries[f"{ours}.positions.weight"] = Plain(f"{side}.embed_positions.weight")
        if config.embedding_norm:
            entries |= norm(f"{ours}.norm", f"{side}.layernorm_embedding")
        if config.norm == "pre":
            entries |= norm(f"{side}.norm", f"{side}.layer_norm")
    if config.head == "next_token" and config.output_bias and biases is not None:
        entries["next_token.output.bias"] = Row(biases)
    table = "shared" if config.decoder_vocab_size is None else "decoder.embed_tokens"
    if config.tie_output:
        tied["lm_head.weight"] = f"{table}.weight"
    elif config.head == "next_token":
        entries["next_token.output.weight"] = Plain("lm_head.weight")
    return WeightNames(
        entries,
        prefixes=("" if config.head == "none" else "model.", "model."),
        body=("shared.", "encoder.", "decoder."),
        tied=tied,
        ignored=("encoder.embed_positions.weight", "decoder.embed_positions.weight"),
        heads=("final_logits_bias", "lm_head.", "classification_head.", "qa_outputs."),
    )


def _block_names(side: str) -> dict[str, Entry]:
    """Name the blocks of the encoder or the decoder."""
    block, layer = f"{side}.blocks.{{i}}.", f"{side}.layers.{{i}}."
    entries = {
        **stacked(
            block + "attention.query_key_value",
            [layer + f"self_attn.{part}_proj" for part in ("q", "k", "v")],
        ),
        **dense(block + "attention.output", layer + "self_attn.out_proj"),
        **norm(block + "attention_residual.norm", layer + "self_attn_layer_norm"),
        **dense(block + "feed_forward.expand", layer + "fc1"),
        **dense(block + "feed_forward.contract", layer + "fc2"),
        **norm(block + "feed_forward_residual.norm", layer + "final_layer_norm"),
    }
    if side == "decoder":
        cross = layer + "encoder_attn"
        entries |= dense(block + "cross_attention.query", f"{cross}.q_proj")
        entries |= stacked(
            block + "cross_attention.key_value", [f"{cross}.{part}_proj" for part in ("k", "v")]
        )
        entries |= dense(block + "cross_attention.output", f"{cross}.out_proj")
        entries |= norm(block + "cross_residual.norm", layer + "encoder_attn_layer_norm")
    return entries
