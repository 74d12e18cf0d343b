"""From a plan to everything a training needs: tables, labels, a model, examples."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.card import Card
from zhixing.checkpoints.pretrained import Pretrained, load_pretrained
from zhixing.data.batch import Example
from zhixing.data.readers import read_table
from zhixing.data.splits import split_table
from zhixing.data.table import Table, check_validation_labels
from zhixing.errors import ConfigError, DataError
from zhixing.models.adapters import add_adapters
from zhixing.models.families import own
from zhixing.models.quantization import is_quantized
from zhixing.models.transformer import Transformer, build, start_head
from zhixing.tasks.classification import ClassificationTask
from zhixing.tasks.task import Task
from zhixing.tokenization.training import train_tokenizer
from zhixing.training.optimizers import freeze
from zhixing.training.recipe import DataChoice, Recipe
from zhixing.training.run_plan import RunPlan

NEW = "new"

# Of the largest weight: below it a float32 sum of losses no longer holds a row.
LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class Prepared:
    """Hold a run's parts before the first step.

    Attributes:
        pretrained: The model with its head, on the CPU.
        task: For training.
        table, validation: The rows; `validation` has none if there is nothing to validate on.
        examples, validation_examples: The same, encoded.
        hashes: Of the rows, by role.
        notes: Sentences that a person should read: what was started fresh, what was left out.
    """

    pretrained: Pretrained
    task: Task
    table: Table
    validation: Table
    examples: list[Example]
    validation_examples: list[Example]
    hashes: dict[str, str]
    notes: list[str]


def prepare(plan: RunPlan, tables: tuple[Table, Table | None]) -> Prepared:
    """Check and encode the rows, and load or build the model.

    Args:
        plan: What to do.
        tables: Rows to learn from, and those to score on where they are given.

    Raises:
        DataError: If the rows cannot be learned from.
        CheckpointError: If the model cannot be loaded.
    """
    recipe = plan.recipe
    table, given = tables
    hashes = {"training": table.fingerprint()}
    if given is not None:
        hashes["validation"] = given.fingerprint()
    table, validation = with_validation(_counted(table), given, recipe)
    labels = label_names(table)
    _check_labels(labels, table, validation)
    notes: list[str] = []
    pretrained = _model_for(plan, table, labels, notes)
    task = ClassificationTask(
        pretrained.tokenizer,
        labels,
        max_positions=pretrained.config.max_positions,
        is_multi_label=table.is_multi_label,
        max_windows=recipe.training.max_windows,
        class_weights=class_weights(table, labels) if recipe.data.class_weights != "none" else None,
        label_smoothing=recipe.training.label_smoothing,
    )
    examples = task.encode(table)
    cut = sum(e.tokens_read < e.tokens_given for e in examples)
    if cut:
        notes.append(
            f"{cut} texts are longer than {recipe.training.max_windows} windows and are trained "
            f"on windows taken evenly; max_windows sets how many"
        )
    return Prepared(
        replace(pretrained, card=_card(table, labels, recipe.data.label_separator)),
        task,
        table,
        validation,
        examples,
        task.encode(validation) if len(validation) else [],
        hashes,
        notes,
    )


def _card(table: Table, labels: list[str], separator: str | None) -> Card:
    return Card(
        "classify",
        tuple(labels),
        is_multi_label=table.is_multi_label,
        is_pair=table.pairs is not None,
        label_separator=separator,
    )


def read_tables(data: object, validation: object, choice: DataChoice) -> tuple[Table, Table | None]:
    """Read the rows to learn from, and those to score on where they are given."""
    table = read_labelled(data, choice)
    if validation is None:
        return table, None
    # Scores count every row alike, so rows to score on need no weights.
    return table, read_labelled(validation, replace(choice, weight=None))


def read_labelled(data: object, choice: DataChoice) -> Table:
    """Read a labelled table as a recipe says."""
    return read_table(
        data,
        columns=choice.columns,
        needs_labels=True,
        multi_label=choice.multi_label,
        label_separator=choice.label_separator,
    )


def label_names(table: Table) -> list[str]:
    """Name the classes: numbers in the order of their size, then words by the alphabet."""
    return list(table.label_counts())


def class_weights(table: Table, labels: Iterable[str]) -> list[float]:
    """Weigh each class by the inverse of its rows, with a mean of one over the rows."""
    counts: Counter[str] = Counter(table.label_counts())
    names = list(labels)
    total = sum(counts[name] for name in names)
    return [total / (len(names) * counts[name]) for name in names]


def _counted(table: Table) -> Table:
    """Bring weights to a mean of one, and leave out rows that count nothing.

    A batch of such rows alone would have no mean loss.
    """
    if table.weights is None:
        return table
    column = table.columns.get("weight", "of weights")
    kept = [i for i, weight in enumerate(table.weights) if weight]
    if not kept:
        raise DataError(f"{table.source}: the column {column!r} is 0 in every row; correct it")
    counted = table.select(kept)
    largest = max(table.weights)
    shares = [weight / largest for weight in counted.weights or []]
    mean = sum(shares) / len(shares)
    smallest = min(range(len(kept)), key=shares.__getitem__)
    if shares[smallest] < LEAST_SHARE:
        raise DataError(
            f"{table.source}: the column {column!r} holds {table.weights[kept[smallest]]:g} in row "
            f"{counted.rows[smallest]} and {largest:g} elsewhere; weights have to lie within a "
            f"factor of {1 / LEAST_SHARE:,.0f}, or be 0 to leave a row out"
        )
    return replace(counted, weights=[share / mean for share in shares])


def with_validation(table: Table, given: Table | None, recipe: Recipe) -> tuple[Table, Table]:
    """Give rows to learn from and rows to score on: those given, a part split off, or none."""
    if given is not None:
        return table, given
    if recipe.data.validation_fraction == 0.0:
        return table, table.select([])
    return split_table(
        table,
        validation_fraction=recipe.data.validation_fraction,
        seed=recipe.training.seed,
    )


def _check_labels(labels: list[str], table: Table, validation: Table) -> None:
    if len(labels) < 2 and not table.is_multi_label:
        raise DataError(
            f"{table.source}: every row{_counting(table)} has the label {labels[0]!r}; a "
            f"classifier needs rows of at least two labels"
        )
    if len(validation):
        check_validation_labels(table, validation)


def _counting(table: Table) -> str:
    return "" if table.weights is None else " of a weight above 0"


def _model_for(plan: RunPlan, table: Table, labels: list[str], notes: list[str]) -> Pretrained:
    recipe = plan.recipe
    config = recipe.training
    if plan.model == NEW:
        pretrained = new_model(recipe, table, labels)
    else:
        pretrained = load_for_training(plan.model, labels, seed=config.seed)
        if is_quantized(pretrained.model):
            raise ConfigError(f"{plan.model} is int8, which cannot be trained; name the original")
        if pretrained.fresh:
            notes.append(f"started fresh: {', '.join(pretrained.fresh)}")
        if pretrained.left_out:
            notes.append(f"left out, as the task does not use them: {_few(pretrained.left_out)}")
    adjust_rates(pretrained.model, config.dropout, config.attention_dropout)
    if config.lora_rank:
        add_adapters(
            pretrained.model.encoder,
            rank=config.lora_rank,
            alpha=config.lora_alpha,
            seed=config.seed,
        )
        pretrained.model.embedding.requires_grad_(False)
    freeze(pretrained.model, config)
    return pretrained


def load_for_training(name: str, labels: list[str], *, seed: int) -> Pretrained:
    """Load a model with a head for these labels: its own if it has the same, else a fresh one."""
    folder = locate(name)
    pretrained = load_pretrained(folder, head="classification", num_classes=len(labels), seed=seed)
    if pretrained.fresh or list(pretrained.card.labels) == labels:
        return pretrained
    names = start_head(pretrained.model, seed=seed)
    return replace(pretrained, fresh=names)


def new_model(recipe: Recipe, table: Table, labels: list[str]) -> Pretrained:
    """Build a model from nothing, with a vocabulary learned from the training texts."""
    new = recipe.new
    texts = table.texts + (table.pairs or [])
    tokenizer = train_tokenizer(
        texts,
        kind=new.vocabulary,
        vocab_size=new.vocab_size,
        lowercase=new.lowercase,
        min_frequency=new.min_frequency,
    )
    config = new.config(vocab_size=tokenizer.vocab_size, num_classes=len(labels))
    model = build(config, seed=recipe.training.seed)
    return Pretrained(model, tokenizer, Card(), own.TYPE, {})


def adjust_rates(model: Transformer, dropout: float | None, attention_dropout: float) -> None:
    """Set the dropout rates of a built model; None leaves its own."""
    stacks = [stack for stack in (model.encoder, model.decoder) if stack is not None]
    for stack in stacks:
        stack.attention_dropout = attention_dropout
    if dropout is None:
        return
    for stack in stacks:
        stack.dropout = dropout
    for embedding in (model.embedding, model.decoder_embedding):
        if embedding is not None:
            embedding.dropout = dropout
    if model.classification is not None:
        model.classification.dropout = dropout


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
