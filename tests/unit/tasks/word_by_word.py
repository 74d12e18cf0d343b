"""A real model with weights set by hand: it writes, for each token read, the one of the same id."""

import math
from collections.abc import Mapping, Sequence

import torch
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Sequence as Several
from tokenizers.pre_tokenizers import Split, WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from zhixing.checkpoints.card import Card
from zhixing.checkpoints.pretrained import Pretrained
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build
from zhixing.tasks.translation.translator import Translator
from zhixing.tokenization.settings import SpecialTokens
from zhixing.tokenization.tokenizer import Tokenizer

PADDING, UNKNOWN, END = "<pad>", "<unk>", "</s>"
SPECIAL = [PADDING, UNKNOWN, END]
# What is read, and what it is written as; the code of a language is an ordinary word to a writer.
ENGLISH = ["One", "Two", "Three", "Four", "Five", "Six", ".", "-", "!", ">>fr<<"]
FRENCH = ["Un", "Deux", "Trois", "Quatre", "Cinq", "Sis", ".", "-", "!", "(fr)"]
SIZE = len(SPECIAL) + len(ENGLISH)
POSITIONS = 24


def tokenizer_of(words: Sequence[str]) -> Tokenizer:
    """Part texts into words and signs; what is not among the words is unknown."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *words])}
    backend = Backend(WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.pre_tokenizer = Several(
        [WhitespaceSplit(), *(Split(sign, "isolated") for sign in ".-")]
    )
    backend.add_special_tokens([*SPECIAL, *(word for word in words if word.startswith(">>"))])
    backend.post_processor = TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, SPECIAL.index(END))]
    )
    return Tokenizer(backend, SpecialTokens(end=END, unknown=UNKNOWN, padding=PADDING))


def config() -> ModelConfig:
    return ModelConfig(
        vocab_size=SIZE,
        hidden_size=SIZE + POSITIONS,
        encoder_layers=1,
        decoder_layers=1,
        num_heads=1,
        feed_forward_size=2,
        norm="pre",
        max_positions=POSITIONS,
        embedding_norm=False,
        tie_output=False,
        head="next_token",
        initial_std=0.3,
    )


@torch.no_grad()
def copying_model(
    *, sureness: float = 10.0, looks: Mapping[int, Sequence[int]] | None = None
) -> Transformer:
    """Build a model that attends, at each step, to the token at the same position.

    A vector says in its first half which token stands there, and in its second half where.

    Args:
        sureness: Factor on the logits.
        looks: At which positions other steps look instead, at each of them alike.
    """
    model = build(config())
    weights = dict(model.named_parameters())
    for name, weight in weights.items():
        if "norm" not in name:
            weight.zero_()
    size = SIZE + POSITIONS
    token, place = torch.arange(SIZE), SIZE + torch.arange(POSITIONS)

    def connect(name: str, rows: Tensor, columns: Tensor, value: float) -> None:
        weights[name][rows, columns] = value

    connect("embedding.tokens.weight", token, token, 1.0)
    for side in ("embedding", "decoder_embedding"):
        connect(f"{side}.positions.weight", torch.arange(POSITIONS), place, 1.0)
    crossing = "decoder.blocks.0.cross_attention"
    # Of a vector with two ones the norm makes this out of each zero; it is to move no query.
    absent = -math.sqrt((2 / size) / (1 - 2 / size))
    for step in range(POSITIONS):
        seen = torch.tensor((looks or {}).get(step, [step]))
        connect(f"{crossing}.query.weight", place[seen], place[step], 20.0)
        weights[f"{crossing}.query.bias"][place[seen]] -= 20.0 * absent
    connect(f"{crossing}.key_value.weight", place, place, 1.0)
    connect(f"{crossing}.key_value.weight", size + token, token, 1.0)
    connect(f"{crossing}.output.weight", token, token, 10.0)
    connect("next_token.output.weight", token, token, sureness)
    return model


def translator_of(model: Transformer, **generation: object) -> Translator:
    """Make a translator from English into French."""
    end = SPECIAL.index(END)
    values = {
        "decoder_start_token_id": end,
        "eos_token_id": end,
        "max_length": POSITIONS,
        **generation,
    }
    pretrained = Pretrained(
        model,
        tokenizer_of(ENGLISH),
        Card(task="translate"),
        "zhixing",
        {},
        values,
        tokenizer_of(FRENCH),
    )
    return Translator(pretrained)
