"""A training on pairs of texts: what it reads, the model it builds, and what it came to."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.card import Card
from zhixing.checkpoints.fingerprint import model_hash
from zhixing.checkpoints.pretrained import Pretrained, load_pretrained
from zhixing.data.batch import Example
from zhixing.data.readers import read_table
from zhixing.data.table import Table
from zhixing.errors import ConfigError, DataError
from zhixing.evaluation.claims import Origin
from zhixing.jobs.preparation import NEW, Prepared, adjust_rates, with_validation
from zhixing.jobs.sequence_to_sequence.report import TextReport, evaluate_texts
from zhixing.models.families.known import expresses
from zhixing.models.quantization import dequantize, is_quantized
from zhixing.models.transformer import Transformer, build
from zhixing.tasks.sequence_to_sequence import SequenceToSequenceTask, generate
from zhixing.tasks.translation.languages import code_of, text_format_of, without_code
from zhixing.tokenization.training import train_tokenizer
from zhixing.training.config import TrainingConfig
from zhixing.training.optimizers import freeze
from zhixing.training.recipe import DataChoice, NewModel, Recipe
from zhixing.training.run_plan import RunPlan
from zhixing.version import __version__
from zhixing.workflows.finishing import Outcome

# What most such models are decoded with.
BEAMS = 4


def pair_recipe(model: str) -> Recipe:
    """Give the settings of a training on pairs, unless they are changed: of a new model or not."""
    training = TrainingConfig(
        epochs=20.0,
        batch_size=0,
        batch_tokens=4096,
        learning_rate=2e-3,
        schedule="inverse_sqrt",
        warmup_ratio=0.03,
        weight_decay=0.0,
        beta2=0.98,
        epsilon=1e-9,
        label_smoothing=0.1,
        average_points=8,
        average_share=0.2,
        metric="bleu",
    )
    new = NewModel(
        vocabulary="unigram",
        vocab_size=8000,
        lowercase=False,
        hidden_size=256,
        encoder_layers=4,
        decoder_layers=4,
        feed_forward_size=512,
        positions="sinusoidal",
        activation="relu",
        dropout=0.1,
    )
    if model != NEW:
        training = replace(
            training,
            epochs=3.0,
            learning_rate=1e-4,
            schedule="linear",
            average_points=0,
            max_grad_norm=1.0,
        )
    return Recipe(training, DataChoice(validation_fraction=0.05), new)


def read_pairs(data: object, validation: object, choice: DataChoice) -> tuple[Table, Table | None]:
    """Read the pairs to learn from, and those to score on where they are given."""
    table = read_table(data, columns=choice.columns, needs_labels=False, needs_targets=True)
    if validation is None:
        return table, None
    columns = replace(choice, weight=None).columns
    return table, read_table(validation, columns=columns, needs_labels=False, needs_targets=True)


def prepare_pairs(plan: RunPlan, tables: tuple[Table, Table | None]) -> Prepared:
    """Encode the pairs, and load or build the model.

    Raises:
        DataError: If no pair is left to learn from.
        CheckpointError: If the model cannot be loaded.
        ConfigError: If the model cannot write.
    """
    recipe = plan.recipe
    table, given = tables
    hashes = {"training": table.fingerprint()}
    if given is not None:
        hashes["validation"] = given.fingerprint()
    if recipe.data.old is not None:
        if plan.model == NEW:
            raise ConfigError("old names what a model was made for, and a new one has no such past")
        hashes["old"] = _old_pairs(plan).fingerprint()
    table, validation = with_validation(table, given, recipe)
    notes: list[str] = []
    pretrained = _model_for(plan, table)
    config = recipe.training
    adjust_rates(pretrained.model, config.dropout, config.attention_dropout)
    freeze(pretrained.model, config)
    task = SequenceToSequenceTask(
        text_format_of(pretrained),
        max_positions=pretrained.config.max_positions,
        label_smoothing=config.label_smoothing,
    )
    examples = _encoded(task, table, notes)
    if not examples:
        raise DataError(
            f"{table.source}: every pair is longer than {task.longest} tokens on one side; give "
            f"sentences"
        )
    held = _encoded(task, validation, notes) if len(validation) else []
    return Prepared(pretrained, task, table, validation, examples, held, hashes, notes)


def conclude_pairs(plan: RunPlan, prepared: Prepared, model: Transformer) -> Outcome:
    """Score the trained model on its validation pairs, decoded as it will be.

    A model that was adapted is held against what it was before, there and on pairs of the kind
    that it was made for.
    """
    card = prepared.pretrained.card
    task = prepared.task
    if not isinstance(task, SequenceToSequenceTask):
        return Outcome(card)
    before = None if plan.model == NEW else load_pretrained(locate(plan.model)).model
    kept: dict[str, Any] = {}
    report = old = None
    if prepared.validation_examples:
        report = scored_pairs(
            model, task, prepared.validation_examples, prepared.validation, before=before
        )
        kept["validation"] = _kept_scores(report)
    if plan.recipe.data.old is not None:
        table = _old_pairs(plan)
        old = scored_pairs(model, task, _encoded(task, table, []), table, before=before)
        kept["old domain"] = _kept_scores(old)
    return Outcome(replace(card, scores=kept), report, old=old)


def _kept_scores(report: TextReport) -> dict[str, Any]:
    """Give what a card keeps of a report."""
    scores: dict[str, Any] = {
        name: {"value": claim.value, "low": claim.interval.low, "high": claim.interval.high}
        for name, claim in report.scores.items()
    }
    for one in report.against:
        scores[one.metric] |= {"before": one.other, "p_value": one.p_value}
    return {**scores, "signature": report.signature, "sacrebleu": report.bleu_signature}


def _old_pairs(plan: RunPlan) -> Table:
    columns = replace(plan.recipe.data, weight=None).columns
    return read_table(plan.recipe.data.old, columns=columns, needs_labels=False, needs_targets=True)


def scored_pairs(
    model: Transformer,
    task: SequenceToSequenceTask,
    examples: Sequence[Example],
    table: Table,
    *,
    before: Transformer | None = None,
) -> TextReport:
    """Decode examples on the CPU, and score them against their table's targets.

    Args:
        model: Of the task.
        task: Knows how the model reads and writes.
        examples: The table's rows.
        table: With targets.
        before: The model as it was, to be held against it.
    """
    origin = Origin(table.fingerprint(), model_hash(model), __version__)
    found, others = (
        None
        if one is None
        else generate(one, task, examples, task.text_format.settings, device=torch.device("cpu"))
        for one in (model, before)
    )
    found = found or []
    places = {row: i for i, row in enumerate(table.rows)}
    chosen = [places[example.row] for example in examples]
    targets = table.targets or []
    return evaluate_texts(
        [table.texts[i] for i in chosen],
        [task.text_format.text(own[0].ids) for own in found],
        [targets[i] for i in chosen],
        rows=[example.row for example in examples],
        cut=sum(not own[0].has_ended for own in found),
        origin=origin,
        others=None if others is None else [task.text_format.text(own[0].ids) for own in others],
    )


def _encoded(task: SequenceToSequenceTask, table: Table, notes: list[str]) -> list[Example]:
    examples = task.encode(table)
    if len(examples) < len(table):
        notes.append(
            f"{table.source}: {len(table) - len(examples)} pairs are longer than {task.longest} "
            f"tokens on one side and are left out"
        )
    return examples


def _model_for(plan: RunPlan, table: Table) -> Pretrained:
    if plan.model == NEW:
        return _new_writer(plan.recipe, table, task=plan.task)
    pretrained = load_pretrained(locate(plan.model))
    if pretrained.model.next_token is None:
        raise ConfigError(
            f"{plan.model} does not write (its head is {pretrained.config.head!r}); name a model "
            f"that translates or summarizes, or new"
        )
    card = replace(pretrained.card, task=plan.task, quantization={})
    pretrained = replace(pretrained, card=card)
    if not is_quantized(pretrained.model):
        return pretrained
    # What it learned in more bits is not known any more; training goes on from what is there.
    dequantize(pretrained.model)
    name = "m2m_100" if expresses("m2m_100", pretrained.config) else pretrained.model_type
    return replace(pretrained, model_type=name, values={})


def _new_writer(recipe: Recipe, table: Table, *, task: str) -> Pretrained:
    """Build a model from nothing, with one vocabulary learned from both sides of the pairs.

    Codes with which sources begin, such as `>>fra<<`, name the language to be written.
    """
    new = recipe.new
    codes = sorted({code for text in table.texts if (code := code_of(text)) is not None})
    tokenizer = train_tokenizer(
        [*map(without_code, table.texts), *(table.targets or [])],
        kind=new.vocabulary,
        vocab_size=new.vocab_size,
        lowercase=new.lowercase,
        min_frequency=new.min_frequency,
        only_ends=True,
    )
    if codes:
        tokenizer = tokenizer.with_codes(codes)
    padding, start, end = tokenizer.padding_id, tokenizer.start_id, tokenizer.end_id
    if padding is None or start is None or end is None:
        raise ConfigError(
            f"new.vocabulary is {new.vocabulary!r}, which knows no start and end of a text; a "
            f"model that writes needs 'unigram' or 'byte_bpe'"
        )
    config = new.writer_config(vocab_size=tokenizer.vocab_size, padding_id=padding)
    ids = {
        "bos_token_id": start,
        "eos_token_id": end,
        "pad_token_id": padding,
        "decoder_start_token_id": end,
    }
    unwritten = (start, padding, tokenizer.unknown_id, tokenizer.mask_id)
    suppressed = [i for i in (*unwritten, *map(tokenizer.id_of, codes)) if i]
    generation = {
        **ids,
        "max_length": recipe.new.max_positions,
        "num_beams": BEAMS,
        "forced_eos_token_id": end,
        "suppress_tokens": sorted({start, padding, *suppressed}),
    }
    model = build(config, seed=recipe.training.seed)
    return Pretrained(model, tokenizer, Card(task=task), "m2m_100", ids, generation)
