"""DistilBERT: BERT without token types and pooler, with other names.

Source: Sanh et al. 2019, arXiv:1910.01108.
"""

from collections.abc import Mapping
from typing import Any

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import bert
from zhixing.models.families.family import (
    THEIR_ACTIVATIONS,
    activation_of,
    head_of,
    need,
    num_labels,
    number_of,
)
from zhixing.models.weight_names import Entry, Plain, WeightNames, dense, norm, stacked

ARCHITECTURES: dict[str, HeadKind] = {
    "DistilBertForSequenceClassification": "classification",
    "DistilBertForMaskedLM": "vocabulary",
    "DistilBertModel": "none",
}
OUR_BLOCK = "encoder.blocks.{i}."
THEIR_LAYER = "transformer.layer.{i}."


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read DistilBERT's `config.json`; its norms' epsilon is fixed in the reference's code."""
    head = head_of(values, ARCHITECTURES)
    classifies = head == "classification"
    fields = dict(
        vocab_size=need(values, "vocab_size"),
        hidden_size=need(values, "dim"),
        encoder_layers=need(values, "n_layers"),
        num_heads=need(values, "n_heads"),
        feed_forward_size=need(values, "hidden_dim"),
        activation=activation_of(values, "activation", "gelu"),
        norm_eps=1e-12,
        max_positions=values.get("max_position_embeddings", 512),
        dropout=number_of(values, "dropout", 0.1),
        attention_dropout=number_of(values, "attention_dropout", 0.1),
        head=head,
        num_classes=num_labels(values) if classifies else 0,
        classifier_activation="relu" if classifies else None,
        classifier_dropout=number_of(values, "seq_classif_dropout", 0.2) if classifies else None,
        head_activation=activation_of(values, "activation", "gelu"),
        initial_std=number_of(values, "initializer_range", 0.02),
    )
    return ModelConfig.from_dict(fields)


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write DistilBERT's `config.json`."""
    values: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "dim": config.hidden_size,
        "n_layers": config.encoder_layers,
        "n_heads": config.num_heads,
        "hidden_dim": config.feed_forward_size,
        "activation": THEIR_ACTIVATIONS[config.activation],
        "max_position_embeddings": config.max_positions,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "initializer_range": config.initial_std,
    }
    if config.classifier_dropout is not None:
        values["seq_classif_dropout"] = config.classifier_dropout
    return values


def weight_names(config: ModelConfig) -> WeightNames:
    """Map our weights to DistilBERT's state-dict names."""
    body: dict[str, Entry] = {
        "embedding.tokens.weight": Plain(bert.TOKENS),
        "embedding.positions.weight": Plain("embeddings.position_embeddings.weight"),
        **norm("embedding.norm", "embeddings.LayerNorm"),
        **stacked(
            OUR_BLOCK + "attention.query_key_value",
            [THEIR_LAYER + f"attention.{part}_lin" for part in ("q", "k", "v")],
        ),
        **dense(OUR_BLOCK + "attention.output", THEIR_LAYER + "attention.out_lin"),
        **norm(OUR_BLOCK + "attention_residual.norm", THEIR_LAYER + "sa_layer_norm"),
        **dense(OUR_BLOCK + "feed_forward.expand", THEIR_LAYER + "ffn.lin1"),
        **dense(OUR_BLOCK + "feed_forward.contract", THEIR_LAYER + "ffn.lin2"),
        **norm(OUR_BLOCK + "feed_forward_residual.norm", THEIR_LAYER + "output_layer_norm"),
    }
    return bert.encoder_names(
        config,
        body,
        prefix="distilbert.",
        classification={
            **dense("classification.dense", "pre_classifier"),
            **dense("classification.output", "classifier"),
        },
        vocabulary={
            **dense("vocabulary.dense", "vocab_transform"),
            **norm("vocabulary.norm", "vocab_layer_norm"),
            "vocabulary.output.bias": Plain("vocab_projector.bias"),
        },
        tied={"vocab_projector.weight": bert.TOKENS},
        heads=("vocab_", "pre_classifier.", "classifier.", "qa_outputs."),
    )
