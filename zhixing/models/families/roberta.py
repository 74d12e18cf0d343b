"""RoBERTa: BERT without token types, positions counted from 2.

Source: Liu et al. 2019, arXiv:1907.11692.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import bert
from zhixing.models.families.family import architecture_named, architecture_of, head_of, padding_of
from zhixing.models.weight_names import Plain, WeightNames, dense, norm

ARCHITECTURES: dict[str, HeadKind] = {
    "RobertaForSequenceClassification": "classification",
    "RobertaForMaskedLM": "vocabulary",
    "RobertaModel": "none",
}


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read RoBERTa's `config.json`; a first token's position is the padding id plus one."""
    named = architecture_of(values).removeprefix("XLM")
    named = named.replace("RobertaForPreTraining", "RobertaForMaskedLM")
    head = head_of({"architectures": [named]}, ARCHITECTURES)
    config = bert.shared_config(
        values, head, default_eps=1e-12, default_types=2, has_pooler=head == "none"
    )
    offset = padding_of(values) + 1
    classifies = head == "classification"
    return replace(
        config,
        max_positions=(config.max_positions or 0) - offset,
        position_offset=offset,
        classifier_activation="tanh" if classifies else None,
        drops_pooled=classifies,
        head_activation="gelu",
    )


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write RoBERTa's `config.json`."""
    return {
        "model_type": "roberta",
        "architectures": [architecture_named(ARCHITECTURES, config.head)],
        **bert.shared_values(config),
        "pad_token_id": config.position_offset - 1,
    }


def weight_names(config: ModelConfig) -> WeightNames:
    """Map our weights to RoBERTa's state-dict names."""
    entries = bert.body_names()
    if config.has_pooler:
        entries |= dense("pooler", "pooler.dense")
    tied: dict[str, str] = {}
    if config.head == "classification":
        entries |= dense("classification.dense", "classifier.dense")
        entries |= dense("classification.output", "classifier.out_proj")
    elif config.head == "vocabulary":
        entries |= dense("vocabulary.dense", "lm_head.dense")
        entries |= norm("vocabulary.norm", "lm_head.layer_norm")
        entries["vocabulary.output.bias"] = Plain("lm_head.bias")
        tied = {
            "lm_head.decoder.weight": "embeddings.word_embeddings.weight",
            "lm_head.decoder.bias": "lm_head.bias",
        }
    return WeightNames(
        entries,
        prefixes=("" if config.head == "none" else "roberta.", "roberta."),
        body=("embeddings.", "encoder.", "pooler."),
        tied=tied,
        ignored=("embeddings.position_ids",),
        heads=("lm_head.", "classifier.", "qa_outputs.", "pooler."),
    )
