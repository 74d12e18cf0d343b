import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from zhixing.checkpoints.card import Card
from zhixing.checkpoints.pretrained import (
    Pretrained,
    load_pretrained,
    save_pretrained,
)
from zhixing.errors import CheckpointError, FileError, TokenizerError
from zhixing.layers.ragged import Ragged
from zhixing.models.transformer import build

Edit = Callable[..., None]
QUERY = "bert.encoder.layer.1.attention.self.query.weight"
TABLE = "bert.embeddings.word_embeddings.weight"


def change(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_pretrained(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same_weights(left: Pretrained, right: Pretrained) -> bool:
    theirs = dict(right.model.named_parameters())
    own = dict(left.model.named_parameters())
    return own.keys() == theirs.keys() and all(torch.equal(own[n], theirs[n]) for n in own)


def test_load_save_load_is_identical(pretrained: Pretrained, folder: Path, tmp_path: Path) -> None:
    first = load_pretrained(folder)
    assert same_weights(first, pretrained)
    assert first.config == pretrained.config and first.card.labels == ("bad", "good")
    save_pretrained(first, tmp_path / "again")
    values = json.loads((folder / "config.json").read_text())
    assert json.loads((tmp_path / "again" / "config.json").read_text()) == values
    for name in ("model.safetensors", "tokenizer.json", "zhixing.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_all_faults_of_the_weights_stand_in_one_sentence(folder: Path) -> None:
    def spoil(tensors: dict[str, Tensor]) -> None:
        del tensors[QUERY]
        tensors["bert.encoder.layer.9.extra"] = torch.ones(1)
        tensors[TABLE] = torch.ones(3, 8)
        tensors["classifier.bias"] = torch.tensor([0.0, float("nan")])
        tensors["classifier.weight"] = torch.ones(2, 8, dtype=torch.int64)

    change(folder, spoil)
    message = refusal(folder)
    assert "encoder.blocks.1.attention.query_key_value.weight is missing" in message
    assert "bert.encoder.layer.9.extra is not a weight of this model" in message
    assert "embedding.tokens.weight has shape (3, 8) instead of (12, 8)" in message
    assert "classification.output.bias holds values that are not finite numbers" in message
    assert "classification.output.weight holds torch.int64, not floating-point" in message


def test_very_many_faults_are_counted(folder: Path) -> None:
    change(folder, lambda tensors: [tensors.pop(name) for name in list(tensors)[3:]])
    assert "; and " in refusal(folder) and " more. The weights and config.json" in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_refused(folder: Path, value: float) -> None:
    change(folder, lambda tensors: tensors[TABLE].view(-1)[5:6].fill_(value))
    assert "embedding.tokens.weight holds values that are not finite" in refusal(folder)


def test_half_a_pooler_is_a_missing_weight(folder: Path, edit: Edit) -> None:
    edit(folder / "config.json", architectures=["BertModel"])
    (folder / "zhixing.json").unlink()
    change(folder, lambda tensors: tensors.pop("bert.pooler.dense.weight"))
    assert "pooler.weight is missing" in refusal(folder)


def test_a_body_without_pooler_is_whole(folder: Path, edit: Edit) -> None:
    edit(folder / "config.json", architectures=["BertModel"])
    (folder / "zhixing.json").unlink()
    change(folder, lambda t: [t.pop(f"bert.pooler.dense.{part}") for part in ("weight", "bias")])
    loaded = load_pretrained(folder)
    assert not loaded.config.has_pooler and loaded.fresh == ()
    assert loaded.left_out == ("classifier.bias", "classifier.weight")


def test_a_missing_head_is_refused_unless_it_may_be_fresh(folder: Path) -> None:
    change(folder, lambda tensors: [tensors.pop(f"classifier.{p}") for p in ("weight", "bias")])
    assert "classification.output.weight is missing" in refusal(folder)
    loaded = load_pretrained(folder, head="classification", num_classes=2, seed=1)
    assert loaded.fresh == ("classification.output.weight", "classification.output.bias")
    again = load_pretrained(folder, head="classification", num_classes=2, seed=1)
    assert same_weights(loaded, again)
    other = load_pretrained(folder, head="classification", num_classes=2, seed=2)
    assert not same_weights(loaded, other)


def test_a_head_of_other_labels_is_started_fresh(folder: Path, pretrained: Pretrained) -> None:
    loaded = load_pretrained(folder, head="classification", num_classes=5)
    assert loaded.fresh == ("classification.output.weight", "classification.output.bias")
    assert loaded.config == replace(pretrained.config, num_classes=5)
    assert torch.equal(loaded.model.pooler.weight, pretrained.model.pooler.weight)


def test_a_masked_language_model_keeps_its_tie(folder: Path) -> None:
    loaded = load_pretrained(folder, head="vocabulary")
    assert loaded.model.vocabulary is not None
    assert loaded.model.vocabulary.output.weight is loaded.model.embedding.tokens.weight


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model_type", "gpt9", "model_type is 'gpt9'; supported are bert"),
        ("model_type", None, "model_type is None; supported are bert"),
        ("model_type", ["bert"], "model_type is ['bert']; supported are bert"),
        ("vocab_size", None, "there is no vocab_size; this model cannot be built"),
        ("vocab_size", "many", "vocab_size is 'many'; it has to be a whole number"),
        ("hidden_size", 8.5, "hidden_size is 8.5; it has to be a whole number"),
        ("hidden_size", -8, "hidden_size is -8; it has to be at least 1"),
        ("num_hidden_layers", -1, "encoder_layers is -1; it has to be at least 0"),
        ("num_attention_heads", 3, "hidden_size is 8, which num_heads = 3 does not divide"),
        ("num_attention_heads", 0, "num_heads is 0; it has to be at least 1"),
        ("hidden_act", "mish", "hidden_act is 'mish'; supported are gelu"),
        ("hidden_act", ["gelu"], "hidden_act is ['gelu']; supported are gelu"),
        ("layer_norm_eps", "tiny", "norm_eps is 'tiny'; it has to be a number"),
        ("hidden_dropout_prob", 1.5, "dropout is 1.5; it has to be at least 0 and below 1"),
        ("id2label", ["a", "b"], "id2label is ['a', 'b']; it has to be an object"),
        ("architectures", "BertModel", "architectures is 'BertModel'; it has to be a list"),
        ("architectures", [5], "architectures is [5]; it has to be a list"),
        ("position_embedding_type", "relative_key", "position_embedding_type is 'relative_key'"),
        ("is_decoder", True, "is_decoder is True; supported are 'absolute' and False"),
        ("max_position_embeddings", 0, "max_positions is 0; learned positions need at least 1"),
        ("hidden_size", 16, "has shape (12, 8) instead of (12, 16)"),
        ("num_hidden_layers", 1, "layer.1.attention.output.dense.bias is not a weight"),
    ],
)
def test_a_wrong_value_in_config_json_gives_a_sentence(
    folder: Path, edit: Edit, key: str, value: object, said: str
) -> None:
    edit(folder / "config.json", **{key: value})
    message = refusal(folder)
    assert said in message
    assert str(folder) in message


def test_whole_numbers_may_stand_for_rates(folder: Path, edit: Edit) -> None:
    edit(folder / "config.json", hidden_dropout_prob=0)
    assert load_pretrained(folder).config.dropout == 0.0


def test_files_that_are_not_what_their_names_say_are_refused(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-7])
    assert "is not a whole safetensors file" in refusal(folder)
    (folder / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))
    assert "is not a whole safetensors file" in refusal(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pytorch_model.bin, a pickle, which can run code" in refusal(folder)
    (folder / "config.json").write_text("model_type: bert")
    assert "config.json is not valid JSON" in refusal(folder)
    (folder / "config.json").unlink()
    assert "config.json does not exist" in refusal(folder)


def test_a_tokenizer_with_more_entries_than_the_model_is_refused(
    pretrained: Pretrained, tmp_path: Path
) -> None:
    small = build(replace(pretrained.config, vocab_size=9))
    save_pretrained(replace(pretrained, model=small), tmp_path / "model")
    assert "the tokenizer has 10 entries, but the model only 9" in refusal(tmp_path / "model")


def test_a_folder_without_tokenizer_is_refused(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()
    with pytest.raises(TokenizerError, match="has no tokenizer"):
        load_pretrained(folder)


def test_a_card_that_does_not_fit_is_refused(folder: Path, edit: Edit) -> None:
    edit(folder / "zhixing.json", labels=["a", "b", "c"])
    assert "names 3 labels, but the model has 2 classes" in refusal(folder)
    edit(folder / "zhixing.json", labels=["a", "b"], probe={"text": "Knowing", "ids": [9]})
    assert "reads the probe text as [5]... instead of [9]..." in refusal(folder)
    edit(folder / "zhixing.json", format=2)
    assert "has format 2; this version reads 1: upgrade zhixing" in refusal(folder)


def test_labels_come_from_config_json_where_there_is_no_card(folder: Path) -> None:
    (folder / "zhixing.json").unlink()
    assert load_pretrained(folder).card.labels == ("bad", "good")


@pytest.mark.parametrize("labels", [("so", "good", "bad"), ("bad", "good", "so")])
def test_every_label_is_saved_with_the_number_of_its_logit(
    pretrained: Pretrained, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    config = replace(pretrained.config, num_classes=3)
    card = Card(task="classify", labels=labels)
    made = replace(pretrained, model=build(config, seed=5), card=card)
    save_pretrained(made, tmp_path / "model")
    values = json.loads((tmp_path / "model" / "config.json").read_text())
    assert values["id2label"] == {str(i): label for i, label in enumerate(labels)}
    assert values["label2id"] == {label: i for i, label in enumerate(labels)}
    assert json.loads((tmp_path / "model" / "zhixing.json").read_text())["labels"] == list(labels)
    loaded = load_pretrained(tmp_path / "model")
    # The number of a logit means the same word before and after, with our card and without.
    batch = Ragged(torch.arange(7), (3, 4))
    assert torch.equal(loaded.model.classify(batch), made.model.classify(batch))
    assert loaded.card.labels == labels
    (tmp_path / "model" / "zhixing.json").unlink()
    assert load_pretrained(tmp_path / "model").card.labels == labels


def test_a_class_without_name_has_a_number(folder: Path, edit: Edit) -> None:
    (folder / "zhixing.json").unlink()
    edit(folder / "config.json", id2label={"0": "bad", "7": "good"})
    assert load_pretrained(folder).card.labels == ("bad", "class 1")


@pytest.mark.parametrize(
    "changes", [{"positions": "convolution", "max_positions": None}, {"pooling": "mean"}]
)
def test_what_no_family_expresses_is_kept_in_our_own_form(
    pretrained: Pretrained, tmp_path: Path, changes: dict[str, object]
) -> None:
    config = replace(pretrained.config, **changes)
    made = replace(pretrained, model=build(config, seed=5))
    save_pretrained(made, tmp_path / "own")
    assert json.loads((tmp_path / "own" / "config.json").read_text())["model_type"] == "zhixing"
    loaded = load_pretrained(tmp_path / "own")
    assert loaded.config == config and same_weights(loaded, made)
    batch = Ragged(torch.arange(7), (3, 4))
    assert torch.equal(loaded.model.classify(batch), made.model.classify(batch))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (None, "settings is None; it has to be an object"),
        ({}, "settings lacks encoder_layers, feed_forward_size, hidden_size, num_heads, vocab"),
    ],
)
def test_our_own_form_is_checked_too(
    pretrained: Pretrained, tmp_path: Path, edit: Edit, settings: object, said: str
) -> None:
    own = replace(pretrained, model=build(replace(pretrained.config, pooling="mean")))
    save_pretrained(own, tmp_path / "own")
    edit(tmp_path / "own" / "config.json", settings=settings)
    assert said in refusal(tmp_path / "own")


def test_our_own_form_takes_another_head(pretrained: Pretrained, tmp_path: Path) -> None:
    own = replace(pretrained, model=build(replace(pretrained.config, pooling="mean")))
    save_pretrained(own, tmp_path / "own")
    loaded = load_pretrained(tmp_path / "own", head="classification", num_classes=4)
    assert loaded.config == replace(own.config, num_classes=4)
    assert loaded.fresh == ("classification.output.weight", "classification.output.bias")


def test_weights_may_be_saved_in_half_precision(pretrained: Pretrained, tmp_path: Path) -> None:
    save_pretrained(pretrained, tmp_path / "half", dtype=torch.bfloat16)
    assert load_file(tmp_path / "half" / "model.safetensors")[TABLE].dtype == torch.bfloat16
    rounded = pretrained.model.embedding.tokens.weight.bfloat16().float()
    loaded = load_pretrained(tmp_path / "half").model.embedding.tokens.weight
    assert loaded.dtype == torch.float32 and torch.equal(loaded, rounded)


def test_foreign_keys_are_kept_and_stale_ones_are_not(folder: Path, edit: Edit) -> None:
    edit(folder / "config.json", use_cache=True, torch_dtype="float16", num_labels=9)
    save_pretrained(load_pretrained(folder), folder, overwrite=True)
    values = json.loads((folder / "config.json").read_text())
    assert values["use_cache"] is True
    assert not {"torch_dtype", "num_labels"} & values.keys()


def test_several_labels_a_text_are_told_to_others(pretrained: Pretrained, tmp_path: Path) -> None:
    card = Card(labels=("a", "b"), is_multi_label=True)
    save_pretrained(replace(pretrained, card=card), tmp_path / "model")
    values = json.loads((tmp_path / "model" / "config.json").read_text())
    assert values["problem_type"] == "multi_label_classification"
    assert values["label2id"] == {"a": 0, "b": 1}


def test_a_folder_is_not_overwritten_unasked(folder: Path, pretrained: Pretrained) -> None:
    before = (folder / "model.safetensors").read_bytes()
    other = replace(pretrained, model=build(pretrained.config, seed=9))
    with pytest.raises(FileError, match="exists and is not empty"):
        save_pretrained(other, folder)
    assert (folder / "model.safetensors").read_bytes() == before
    save_pretrained(other, folder, overwrite=True)
    assert (folder / "model.safetensors").read_bytes() != before
