"""XLM-RoBERTa: multilingual RoBERTa, under a `model_type` of its own.

Source: Conneau et al. 2020, arXiv:1911.02116.
"""

from zhixing.models.config import HeadKind
from zhixing.models.families import roberta

ARCHITECTURES: dict[str, HeadKind] = {
    f"XLM{name}": head for name, head in roberta.ARCHITECTURES.items()
}
read_config, write_config = roberta.read_config, roberta.write_config
weight_names = roberta.weight_names
