"""BERT: learned positions, two token types, post-norm, a pooler over the first token.

Source: Devlin et al. 2019, arXiv:1810.04805.
"""

from collections.abc import Mapping
from typing import Any

from zhixing.errors import CheckpointError
from zhixing.models.config import HeadKind, ModelConfig
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
    "BertForSequenceClassification": "classification",
    "BertForMaskedLM": "vocabulary",
    "BertForPreTraining": "vocabulary",
    "BertModel": "none",
}
OUR_BLOCK = "encoder.blocks.{i}."
THEIR_LAYER = "encoder.layer.{i}."
TOKENS = "embeddings.word_embeddings.weight"


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read BERT's `config.json`."""
    head = head_of(values, ARCHITECTURES)
    return shared_config(values, head, has_pooler=True)


def shared_config(values: Mapping[str, Any], head: HeadKind, *, has_pooler: bool) -> ModelConfig:
    """Read the keys that BERT and RoBERTa have in common."""
    kind = values.get("position_embedding_type", "absolute")
    if kind != "absolute" or values.get("is_decoder"):
        raise CheckpointError(
            f"position_embedding_type is {kind!r} and is_decoder is "
            f"{bool(values.get('is_decoder'))}; supported are 'absolute' and False"
        )
    fields = dict(
        vocab_size=need(values, "vocab_size"),
        hidden_size=need(values, "hidden_size"),
        encoder_layers=need(values, "num_hidden_layers"),
        num_heads=need(values, "num_attention_heads"),
        feed_forward_size=need(values, "intermediate_size"),
        activation=activation_of(values, "hidden_act", "gelu"),
        norm_eps=number_of(values, "layer_norm_eps", 1e-12),
        max_positions=values.get("max_position_embeddings", 512),
        token_types=values.get("type_vocab_size", 2),
        dropout=number_of(values, "hidden_dropout_prob", 0.1),
        attention_dropout=number_of(values, "attention_probs_dropout_prob", 0.1),
        head=head,
        num_classes=num_labels(values) if head == "classification" else 0,
        has_pooler=has_pooler and head != "vocabulary",
        classifier_dropout=number_of(values, "classifier_dropout", None),
        head_activation=activation_of(values, "hidden_act", "gelu"),
        initial_std=number_of(values, "initializer_range", 0.02),
    )
    return ModelConfig.from_dict(fields)


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write the keys that BERT and RoBERTa have in common."""
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.encoder_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.feed_forward_size,
        "hidden_act": THEIR_ACTIVATIONS[config.activation],
        "layer_norm_eps": config.norm_eps,
        "max_position_embeddings": (config.max_positions or 0) + config.position_offset,
        "type_vocab_size": config.token_types,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "classifier_dropout": config.classifier_dropout,
        "initializer_range": config.initial_std,
    }


def weight_names(config: ModelConfig) -> WeightNames:
    """Map our weights to BERT's state-dict names."""
    transform = "cls.predictions.transform."
    return encoder_names(
        config,
        body_names(),
        prefix="bert.",
        classification=dense("classification.output", "classifier"),
        vocabulary={
            **dense("vocabulary.dense", transform + "dense"),
            **norm("vocabulary.norm", transform + "LayerNorm"),
            "vocabulary.output.bias": Plain("cls.predictions.bias"),
        },
        tied={
            "cls.predictions.decoder.weight": TOKENS,
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        },
        heads=("cls.", "classifier.", "qa_outputs.", "pooler."),
    )


def encoder_names(
    config: ModelConfig,
    body: Mapping[str, Entry],
    *,
    prefix: str,
    classification: Mapping[str, Entry],
    vocabulary: Mapping[str, Entry],
    tied: Mapping[str, str],
    heads: tuple[str, ...],
) -> WeightNames:
    """Join the state-dict names of a body and its head, for BERT and the families after it.

    Args:
        config: Decides about head and pooler.
        body: Names of embeddings and blocks.
        prefix: What stands before the body's names where there is a head.
        classification: Names of the classification head.
        vocabulary: Names of the vocabulary head.
        tied: What that head repeats.
        heads: See `WeightNames`.
    """
    entries = {**body, **(dense("pooler", "pooler.dense") if config.has_pooler else {})}
    if config.head == "classification":
        entries |= classification
    has_vocabulary = config.head == "vocabulary"
    return WeightNames(
        {**entries, **vocabulary} if has_vocabulary else entries,
        prefixes=("" if config.head == "none" else prefix, prefix),
        body=("embeddings.", "encoder.", "transformer.", "pooler."),
        tied=tied if has_vocabulary else {},
        ignored=("embeddings.position_ids",),
        heads=heads,
    )


def body_names() -> dict[str, Entry]:
    """Map the embeddings and blocks to BERT's and RoBERTa's state-dict names."""
    return {
        "embedding.tokens.weight": Plain(TOKENS),
        "embedding.positions.weight": Plain("embeddings.position_embeddings.weight"),
        "embedding.token_types.weight": Plain("embeddings.token_type_embeddings.weight"),
        **norm("embedding.norm", "embeddings.LayerNorm"),
        **stacked(
            OUR_BLOCK + "attention.query_key_value",
            [THEIR_LAYER + f"attention.self.{part}" for part in ("query", "key", "value")],
        ),
        **dense(OUR_BLOCK + "attention.output", THEIR_LAYER + "attention.output.dense"),
        **norm(OUR_BLOCK + "attention_residual.norm", THEIR_LAYER + "attention.output.LayerNorm"),
        **dense(OUR_BLOCK + "feed_forward.expand", THEIR_LAYER + "intermediate.dense"),
        **dense(OUR_BLOCK + "feed_forward.contract", THEIR_LAYER + "output.dense"),
        **norm(OUR_BLOCK + "feed_forward_residual.norm", THEIR_LAYER + "output.LayerNorm"),
    }
