"""Small model folders, written by the project itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import processors
from tokenizers.models import WordLevel

from zhixing.checkpoints.card import Card
from zhixing.checkpoints.pretrained import Pretrained, save_pretrained
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import build
from zhixing.tokenization.settings import SpecialTokens
from zhixing.tokenization.tokenizer import Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = (*SPECIAL, "Knowing", "and", "doing", "are", "one")


@pytest.fixture
def tokenizer() -> Tokenizer:
    backend = tokenizers.Tokenizer(
        WordLevel({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.add_special_tokens(list(SPECIAL))
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    roles = SpecialTokens(
        unknown="[UNK]", separator="[SEP]", padding="[PAD]", classify="[CLS]", mask="[MASK]"
    )
    return Tokenizer(backend, roles)


@pytest.fixture
def config() -> ModelConfig:
    return ModelConfig(
        vocab_size=12,
        hidden_size=8,
        encoder_layers=2,
        num_heads=2,
        feed_forward_size=16,
        max_positions=16,
        token_types=2,
        head="classification",
        num_classes=2,
        has_pooler=True,
    )


@pytest.fixture
def pretrained(tokenizer: Tokenizer, config: ModelConfig) -> Pretrained:
    card = Card(task="classify", labels=("bad", "good"))
    return Pretrained(build(config, seed=3), tokenizer, card, "bert", {"model_type": "bert"})


@pytest.fixture
def folder(pretrained: Pretrained, tmp_path: Path) -> Path:
    """Give a whole BERT classifier's folder."""
    save_pretrained(pretrained, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def edit() -> Callable[..., None]:
    """Change keys of a JSON file; None takes a key out."""

    def change(path: Path, **values: Any) -> None:
        content = {**json.loads(path.read_text(encoding="utf-8")), **values}
        path.write_text(json.dumps(content), encoding="utf-8")

    return change
