import inspect
from typing import Any

import pytest
import torch

from zhixing.checkpoints.card import Card
from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.table import unlabelled_table
from zhixing.errors import CheckpointError, ConfigError, DataError
from zhixing.jobs.classify.use import Classifier, ClassifyOptions
from zhixing.layers.kernels.packed_linear import can_pack
from zhixing.models.config import ModelConfig
from zhixing.models.families import own
from zhixing.models.transformer import build
from zhixing.tasks.inference import Precision, usable_device
from zhixing.tokenization.training import train_tokenizer

TEXTS = ["good kind fine", "bad poor rude", "good bad", "fine rude kind poor bad"]
TOKENIZER = train_tokenizer(TEXTS * 3, kind="wordpiece", vocab_size=60)


def make_pipeline(*, head: str = "classification", **card: Any) -> Classifier:
    """Make a pipeline of a tiny model with three labels."""
    config = ModelConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=8,
        encoder_layers=1,
        num_heads=2,
        feed_forward_size=16,
        max_positions=10,
        head=head,  # type: ignore[arg-type]
        num_classes=3 if head == "classification" else 0,
        initial_std=0.5,
    )
    model = build(config, seed=3)
    labels = Card("classify", ("a", "b", "c"), **card)
    return Classifier(Pretrained(model, TOKENIZER, labels, own.TYPE, {}))


def test_one_text_gives_one_result_and_a_list_gives_a_list_in_order() -> None:
    pipeline = make_pipeline()
    results = pipeline(TEXTS)
    assert isinstance(results, list) and len(results) == 4
    for text, result in zip(TEXTS, results, strict=True):
        alone = pipeline(text)
        assert alone.label == result.label
        assert alone.scores == pytest.approx(result.scores, rel=1e-5)
    assert pipeline(tuple(TEXTS)) == results
    assert pipeline([]) == []


def test_scores_are_probabilities_of_all_labels() -> None:
    result = make_pipeline()(TEXTS[0])
    assert list(result.scores) == ["a", "b", "c"]
    assert sum(result.scores.values()) == pytest.approx(1.0)
    assert result.score == max(result.scores.values()) == result.scores[result.label or ""]


def test_a_long_text_is_read_to_its_end() -> None:
    result = make_pipeline()("good bad kind rude " * 10)
    assert result.coverage.to_dict() == {"read": 40, "total": 40}


def test_pairs_are_read_with_their_texts() -> None:
    pipeline = make_pipeline(is_pair=True)
    together = pipeline(["good", "bad"], ["kind", "rude"])
    assert together[0].scores == pytest.approx(pipeline("good", "kind").scores, rel=1e-5)
    assert together[0].coverage.total == 2
    assert pipeline("good", "kind").scores != pipeline("kind", "good").scores


def test_options_make_the_results() -> None:
    pipeline = make_pipeline()
    assert len(pipeline(TEXTS[0], options=ClassifyOptions(top_k=1)).scores) == 1
    assert pipeline(TEXTS[0], options=ClassifyOptions(threshold=1.0)).label is None
    small = pipeline(TEXTS, options=ClassifyOptions(tokens_per_batch=1))
    assert [r.label for r in small] == [r.label for r in pipeline(TEXTS)]


def test_the_cards_temperature_and_thresholds_are_used() -> None:
    hot, plain = make_pipeline(temperature=1e6)(TEXTS[0]), make_pipeline()(TEXTS[0])
    assert hot.score == pytest.approx(1 / 3, abs=1e-4)
    assert hot.label == plain.label
    multi = make_pipeline(is_multi_label=True, thresholds=(0.0, 1.0, 0.0))(TEXTS[0])
    assert (multi.label, multi.labels) == (None, ("a", "c"))


def test_tables_are_answered_one_after_the_other() -> None:
    pipeline = make_pipeline()
    tables = [unlabelled_table(TEXTS[:1], None), unlabelled_table(TEXTS[1:], None)]
    stream = pipeline.stream(iter(tables))
    first, results = next(stream)
    assert first is tables[0] and len(results) == 1
    assert [len(results) for _, results in stream] == [3]


def test_labels_are_the_cards_and_nothing_is_trained() -> None:
    pipeline = make_pipeline()
    assert pipeline.labels == ("a", "b", "c")
    assert not any(parameter.requires_grad for parameter in pipeline.model.parameters())


@pytest.mark.parametrize("others", [("bfloat16", "int8"), ("int8", "float32"), ("float16",)])
def test_pipelines_of_one_model_do_not_disturb_one_another(others: tuple[Precision, ...]) -> None:
    plain = make_pipeline()
    source = plain.pretrained
    expected = plain.logits(plain.encode(unlabelled_table(TEXTS, None)))
    for precision in others:
        Classifier(source, precision=precision)(TEXTS)
    again = Classifier(source)
    for pipeline in (plain, again):
        assert torch.equal(
            pipeline.logits(pipeline.encode(unlabelled_table(TEXTS, None))), expected
        )


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_neighbours_in_a_batch_change_nothing_in_any_precision(precision: Precision) -> None:
    if precision == "bfloat16" and not can_pack(torch.bfloat16):
        pytest.skip("products are rounded by the processor, by as many rows as there are")
    pipeline = Classifier(make_pipeline().pretrained, precision=precision)
    examples = pipeline.encode(unlabelled_table(TEXTS, None))
    alone = torch.cat([pipeline.logits([example]) for example in examples])
    torch.testing.assert_close(pipeline.logits(examples), alone, rtol=1e-5, atol=1e-6)


def test_a_model_without_a_classification_head_is_refused() -> None:
    with pytest.raises(CheckpointError) as caught:
        make_pipeline(head="none")
    assert "the model has no classification head (its head is 'none')" in str(caught.value)
    assert "zhixing train classify" in str(caught.value)


def test_what_is_no_string_is_refused() -> None:
    call = inspect.unwrap(Classifier.__call__)
    with pytest.raises(DataError, match="texts holds a int; every text has to be a string"):
        call(make_pipeline(), [1])  # type: ignore[call-overload]
    with pytest.raises(DataError, match="pairs holds a NoneType; every text has to be a string"):
        call(make_pipeline(), ["good"], [None])  # type: ignore[call-overload]


def test_unlike_numbers_of_texts_and_pairs_are_refused() -> None:
    with pytest.raises(DataError, match="there are 2 texts but 1 pairs; give one a text"):
        make_pipeline()(["good", "bad"], ["kind"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"top_k": -1}, "top_k is -1 and tokens_per_batch is 0; both have to be at least 0"),
        ({"tokens_per_batch": -2}, "top_k is 0 and tokens_per_batch is -2"),
        ({"threshold": 1.5}, "threshold is 1.5; it is a probability from 0 to 1"),
    ],
)
def test_options_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ClassifyOptions(**values)
    assert message in str(caught.value)


def test_a_device_that_is_unknown_or_absent_is_refused() -> None:
    assert usable_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="device is 'gpu'; allowed are cpu, cuda, cuda:N and mps"):
        usable_device("gpu")
    with pytest.raises(ConfigError, match="device 'xpu' is not on this machine; usable here: cpu"):
        usable_device("xpu")


def test_what_a_model_was_not_trained_on_is_refused() -> None:
    with pytest.raises(DataError, match="holds single texts, but the model was trained on pairs"):
        make_pipeline(is_pair=True)("good")
    with pytest.raises(DataError, match="holds pairs, but the model was trained on single texts"):
        make_pipeline()("good", "bad")
