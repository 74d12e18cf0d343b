"""A shortlist changes what may be written, and nothing else."""

from dataclasses import replace

import pytest
import torch

from zhixing.errors import ConfigError
from zhixing.generation.search import search
from zhixing.generation.settings import SearchSettings
from zhixing.generation.shortlist import NONE, Shortlist, ShortlistedModel, search_within
from zhixing.layers.ragged import Ragged
from zhixing.models.config import ModelConfig
from zhixing.models.quantization import Int8Linear, quantize
from zhixing.models.transformer import Transformer, build

VOCAB = 40
CONFIG = ModelConfig(
    vocab_size=VOCAB,
    hidden_size=16,
    encoder_layers=1,
    decoder_layers=1,
    num_heads=2,
    feed_forward_size=24,
    positions="sinusoidal",
    max_positions=32,
    head="next_token",
    tie_output=True,
    output_bias=True,
    initial_std=0.5,
)
SETTINGS = SearchSettings(
    start_id=2, end_ids=(2,), max_new_tokens=8, forced_last_id=2, suppressed_ids=(1, 9)
)
INPUTS = Ragged.of([torch.tensor([5, 6, 7, 2]), torch.tensor([8, 2])])


def writer(config: ModelConfig = CONFIG) -> Transformer:
    model = build(config, seed=0)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.next_token.output.bias.normal_(generator=torch.Generator().manual_seed(1))
    return model


@pytest.mark.parametrize("beams", [1, 3])
def test_a_list_of_all_tokens_changes_nothing(beams: int) -> None:
    settings = SETTINGS.changed(num_beams=beams, num_results=beams, no_repeat_ngram_size=2)
    model = writer()
    whole = search(model, INPUTS, settings, sequences=2, prefixes=[[4], []])
    found = search_within(model, INPUTS, settings, torch.arange(VOCAB), prefixes=[[4], []])
    for own, expected in zip(found, whole, strict=True):
        assert [one.ids for one in own] == [one.ids for one in expected]
        assert [one.score for one in own] == pytest.approx([one.score for one in expected])


def test_only_listed_tokens_and_those_the_settings_name_are_written() -> None:
    ids = torch.tensor([3, 11, 12, 30])
    found = search_within(writer(), INPUTS, SETTINGS, ids, prefixes=[[7], []])
    assert found[0][0].ids[0] == 7
    assert {i for own in found for one in own for i in one.ids} <= {2, 3, 7, 11, 12, 30}


def test_int8_multiplies_by_the_listed_rows_alone() -> None:
    model = quantize(writer(), skip=lambda name: "next_token" not in name)
    assert isinstance(model.next_token.output, Int8Linear)
    ids = torch.tensor([2, 3, 17, 39])
    states = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    expected = model.next_logits(states)[:, ids]
    torch.testing.assert_close(ShortlistedModel(model, ids).next_logits(states), expected)


def test_an_int8_output_that_is_laid_out_whole_is_refused() -> None:
    model = quantize(
        writer(replace(CONFIG, tie_output=False)), skip=lambda name: "next_token" not in name
    )
    model.next_token.output.weight = None
    with pytest.raises(ConfigError, match="given up the rows of its output"):
        ShortlistedModel(model, torch.tensor([2, 3]))


@pytest.mark.parametrize(("is_joint", "expected"), [(False, [0, 4, 5]), (True, [0, 1, 2, 4, 5])])
def test_a_list_holds_candidates_what_is_frequent_and_what_is_read(
    is_joint: bool, expected: list[int]
) -> None:
    candidates = torch.tensor([[9, 8], [5, 4], [4, NONE]], dtype=torch.int32)
    shortlist = Shortlist(candidates, torch.tensor([0]), is_joint)
    assert shortlist.ids_for(torch.tensor([1, 2, 1])).tolist() == expected
