"""Coverage: what a translation passes by of its source, worked out by hand and on a real model."""

import math

import pytest
import torch

import zhixing as zx
from zhixing.errors import ConfigError
from zhixing.tasks.cross_attention import coverage, cross_attention
from zhixing.tasks.scoring import forced_examples
from zhixing.workflows.load import load


def test_a_source_that_was_passed_by_lowers_the_coverage() -> None:
    whole = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    half = torch.tensor([[0.9, 0.1], [0.9, 0.1]])
    assert coverage(whole) == pytest.approx(0.0, abs=1e-6)
    # More than one attention to a token is no more than one.
    assert coverage(half) == pytest.approx(math.log(0.2))


@pytest.fixture(scope="module")
def translator() -> zx.Translator:
    return load("en-fr", precision="float32")


def test_every_step_attends_once(translator: zx.Translator) -> None:
    sources, targets = ["Good morning, my friend.", "Yes."], ["Bonjour, mon ami.", "Oui."]
    examples = forced_examples(translator.task, sources, targets)
    found = cross_attention(translator.model, translator.task, translator.task.collate(examples))
    for own, example in zip(found, examples, strict=True):
        assert own.shape == (len(example.target), len(example.windows[0].input_ids))
        assert torch.allclose(own.sum(1), torch.ones(len(own)), atol=1e-5)


def test_a_truncated_translation_covers_less(translator: zx.Translator) -> None:
    source = "The first paragraph explains how to install the program."
    targets = ["Le premier paragraphe explique comment installer le programme.", "Le premier."]
    examples = forced_examples(translator.task, [source, source], targets)
    batch = translator.task.collate(examples)
    whole, short = map(coverage, cross_attention(translator.model, translator.task, batch))
    assert whole > short + 1.0


def test_a_penalty_chooses_among_a_beam(translator: zx.Translator) -> None:
    text = "This is a short example sentence, and it has two parts."
    plain = translator(text, options=zx.TranslateOptions(num_beams=4))
    found = translator(text, options=zx.TranslateOptions(num_beams=4, coverage_penalty=50.0))
    best, most = (
        cross_attention(
            translator.model,
            translator.task,
            translator.task.collate(forced_examples(translator.task, [text], [one.text])),
        )[0]
        for one in (plain, found)
    )
    assert coverage(most) >= coverage(best) - 1e-3


@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 4, "coverage_penalty": -1.0}])
def test_a_penalty_needs_a_beam_and_a_sign(
    options: dict[str, float], translator: zx.Translator
) -> None:
    chosen = zx.TranslateOptions(**{"coverage_penalty": 0.1, **options})
    with pytest.raises(ConfigError, match="it chooses among the hypotheses of a beam"):
        translator("Hello.", options=chosen)
