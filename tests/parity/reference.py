"""What the parity tests share: how near is near, and a tokenizer for models that have none."""

import tokenizers
from transformers import PreTrainedTokenizerFast

TOLERANCE = 1e-9
SEEN = 10 * TOLERANCE
VOCAB = 40


def words() -> PreTrainedTokenizerFast:
    """Give a tokenizer of numbered words."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *(f"w{i}" for i in range(VOCAB - len(special)))]
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({piece: i for i, piece in enumerate(pieces)}, "[UNK]")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
