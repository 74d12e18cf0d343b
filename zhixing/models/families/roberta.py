"""RoBERTa: BERT without token types, positions counted from 2.

Source: Liu et al. 2019, arXiv:1907.11692.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import bert
from zhixing.models.families.family import architecture_of, head_of, padding_of
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
    config = bert.shared_config(values, head, has_pooler=head == "none")
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
    return {**bert.write_config(config), "pad_token_id": config.position_offset - 1}


def weight_names(config: ModelConfig) -> WeightNames:
    """Map our weights to RoBERTa's state-dict names."""
    return bert.encoder_names(
        config,
        bert.body_names(),
        prefix="roberta.",
        classification={
            **dense("classification.dense", "classifier.dense"),
            **dense("classification.output", "classifier.out_proj"),
        },
        vocabulary={
            **dense("vocabulary.dense", "lm_head.dense"),
            **norm("vocabulary.norm", "lm_head.layer_norm"),
            "vocabulary.output.bias": Plain("lm_head.bias"),
        },
        tied={"lm_head.decoder.weight": bert.TOKENS, "lm_head.decoder.bias": "lm_head.bias"},
        heads=("lm_head.", "classifier.", "qa_outputs.", "pooler."),
    )
