"""What is learned from pairs: every target token once, whatever lies beside it."""

from dataclasses import replace

import numpy
import pytest
import torch
from tables import make_table
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch.nn import functional

from zhixing.data.batch import Example, Window
from zhixing.data.table import Table
from zhixing.errors import DataError
from zhixing.generation.settings import SearchSettings
from zhixing.jobs.sequence_to_sequence.learn import TrainingTask
from zhixing.layers.ragged import Ragged
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build
from zhixing.tasks.sequence_to_sequence import SequenceToSequenceTask, TextFormat, generate
from zhixing.tokenization.special_tokens import SpecialTokens
from zhixing.tokenization.tokenizer import Tokenizer

WORDS = ["<pad>", "<unk>", "</s>", *"abcdefgh"]
END = 2


def tokenizer() -> Tokenizer:
    backend = Backend(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    return Tokenizer(backend, SpecialTokens(end="</s>", unknown="<unk>", padding="<pad>"))


def text_format() -> TextFormat:
    settings = SearchSettings(start_id=END, end_ids=(END,), max_new_tokens=8)
    return TextFormat(tokenizer(), tokenizer(), settings)


@pytest.fixture
def task() -> SequenceToSequenceTask:
    return SequenceToSequenceTask(text_format(), max_positions=64)


@pytest.fixture
def model() -> Transformer:
    config = ModelConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        encoder_layers=1,
        decoder_layers=1,
        num_heads=2,
        feed_forward_size=12,
        norm="pre",
        positions="sinusoidal",
        head="next_token",
        initial_std=0.5,
    )
    return build(config).double()


def table(sources: list[str], targets: list[str] | None) -> Table:
    rows = list(range(1, len(sources) + 1))
    return make_table(sources, targets=targets, rows=rows)


PAIRS = table(["a b", "c", "d e f g"], ["h g f", "e e", "a"])


def test_both_sides_end_and_the_decoder_reads_one_behind(task: SequenceToSequenceTask) -> None:
    examples = task.encode(PAIRS)
    assert examples[0].windows[0].input_ids.tolist() == [3, 4, END]
    assert examples[0].target.tolist() == [10, 9, 8, END]
    batch = task.collate(examples)
    assert batch.target is not None
    assert task.shifted(batch.target).split()[2].tolist() == [END, 7, 7]
    assert task.weight(batch) == 4 + 3 + 2


def test_the_loss_is_that_of_every_pair_by_itself(
    task: SequenceToSequenceTask, model: Transformer
) -> None:
    examples = task.encode(PAIRS)
    expected = 0.0
    for example in examples:
        read = torch.from_numpy(example.windows[0].input_ids.astype(numpy.int64))
        output = torch.from_numpy(example.target.astype(numpy.int64))
        before = torch.cat((torch.tensor([END]), output[:-1]))
        logits = model.next_logits(model.decoder_states(Ragged.of([read]), Ragged.of([before])))
        expected += functional.cross_entropy(logits, output, reduction="sum").item()
    found = task.loss(model, task.collate(examples))
    assert float(found.total.detach()) == pytest.approx(expected, rel=1e-10)
    assert found.weight == 9


def test_what_fills_a_batch_up_does_not_count(
    task: SequenceToSequenceTask, model: Transformer
) -> None:
    examples = task.encode(PAIRS)
    whole = task.filled_up(examples, 16)
    read = sum(example.tokens_in for example in whole)
    written = sum(len(example.target) for example in whole)
    assert (read % 16, written % 16) == (0, 0)
    plain, filled = (task.loss(model, task.collate(part)) for part in (examples, whole))
    assert float(filled.total.detach()) == pytest.approx(float(plain.total.detach()), rel=1e-10)
    assert filled.weight == plain.weight


@pytest.mark.parametrize("multiple", [2, 7, 64])
@pytest.mark.parametrize("lengths", [[(1, 1)], [(9, 2), (3, 30)], [(5, 5), (11, 11)]])
def test_any_batch_of_pairs_can_be_filled_up(
    task: SequenceToSequenceTask, lengths: list[tuple[int, int]], multiple: int
) -> None:
    examples = [
        Example(
            (Window(numpy.ones(read, numpy.int32), None),),
            numpy.ones(written, numpy.int32),
            row,
            read,
            read,
        )
        for row, (read, written) in enumerate(lengths)
    ]
    whole = task.filled_up(examples, multiple)
    assert whole[: len(examples)] == examples
    longest = [max(sides) for sides in zip(*lengths, strict=True)]
    for added in whole[len(examples) :]:
        assert added.weight == 0.0
        assert 1 <= added.tokens_in <= longest[0]
        assert 1 <= len(added.target) <= longest[1]


def test_a_pair_that_is_too_long_is_left_out(model: Transformer) -> None:
    task = SequenceToSequenceTask(text_format(), max_positions=4)
    assert [example.row for example in task.encode(PAIRS)] == [1, 2]


def test_without_targets_there_is_no_loss(task: SequenceToSequenceTask, model: Transformer) -> None:
    examples = task.encode(table(["a b"], None))
    with pytest.raises(DataError, match="these rows have no targets"):
        task.loss(model, task.collate(examples))


def test_results_come_in_the_order_of_the_examples(
    task: SequenceToSequenceTask, model: Transformer
) -> None:
    examples = task.encode(table(["a b", "c", "d e f g", "a"], None))
    settings = text_format().settings
    device = torch.device("cpu")
    together = generate(model, task, examples, settings, device=device)
    alone = [generate(model, task, [one], settings, device=device)[0] for one in examples]
    assert [own[0].ids for own in together] == [own[0].ids for own in alone]


def test_scores_are_those_of_what_is_written(
    task: SequenceToSequenceTask, model: Transformer
) -> None:
    examples = task.encode(PAIRS)
    task = TrainingTask(text_format(), max_positions=64)
    scores = task.evaluate(model, examples, PAIRS, device=torch.device("cpu"), precision="float32")
    assert list(scores) == ["loss", "bleu", "chrf"]
    loss = task.loss(model, task.collate(examples))
    assert scores["loss"] == pytest.approx(float(loss.total.detach()) / loss.weight, rel=1e-8)


@pytest.mark.parametrize(("template", "place"), [("en $A </s>", 0), ("$A </s> en", -1)])
def test_another_language_stands_where_the_usual_one_does(template: str, place: int) -> None:
    words = [*WORDS, "en", "fr"]
    backend = Backend(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    usual, told = words.index("en"), words.index("fr")
    backend.post_processor = TemplateProcessing(
        single=template, special_tokens=[("</s>", END), ("en", usual)]
    )
    own = Tokenizer(backend, SpecialTokens(end="</s>", unknown="<unk>", padding="<pad>"))
    reader = SequenceToSequenceTask(
        replace(text_format(), source=own, reads=(usual, told)), max_positions=64
    )
    # The text spells both languages, too, and keeps them.
    ids = own.ids(["en a fr en"])[0]
    window = reader.window(ids).input_ids.tolist()
    expected = own.wrap(ids).input_ids
    expected[place] = told
    assert window == expected
