"""The half of a job that learns: columns, head, settings, defaults, preparation, conclusion."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.card import Card
from zhixing.checkpoints.pretrained import Pretrained, load_pretrained
from zhixing.data.batch import Example
from zhixing.data.doctors.labels import Examination, examine
from zhixing.data.readers import read_table
from zhixing.data.roles import Role
from zhixing.data.splits import split_table
from zhixing.data.table import Table
from zhixing.errors import ConfigError
from zhixing.jobs.report import Report
from zhixing.jobs.use import Opened, Use
from zhixing.models.config import HeadKind
from zhixing.models.families import own
from zhixing.models.quantization import is_quantized
from zhixing.models.transformer import Transformer, build, start_head
from zhixing.tasks.task import Task
from zhixing.tokenization.training import train_tokenizer
from zhixing.training.recipe import NEW, DataChoice, Recipe, refuse_unread
from zhixing.training.run_plan import RunPlan
from zhixing.training.techniques import apply_techniques

Tables = tuple[Table, Table | None]

# Settings that only some tasks obey; each names those of its own.
SPECIAL = frozenset(
    {
        *("data.multi_label", "data.label_separator", "data.class_weights", "data.old"),
        *("max_windows", "label_smoothing"),
        *("new.decoder_layers", "new.pooling", "new.convolution_width"),
    }
)


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


@dataclass(frozen=True)
class Outcome:
    """What a trained model came to.

    Attributes:
        card: With its scores.
        reports: By the rows they are about: "validation", and what else the task scores.
    """

    card: Card
    reports: dict[str, Report] = field(default_factory=dict)


@dataclass(frozen=True)
class Act:
    """A job's part in the demo: what is trained, on which built-in rows, and what is asked then.

    Attributes:
        says: What is done, in one sentence.
        title: Above what the model answers.
        next_text: For a command to type next.
        model: That is trained or, where there are no rows to train on, used as it is.
        data: Folder of built-in rows: train.tsv, test.tsv and fresh.txt; None to train nothing.
        text: To be answered, where nothing is trained.
        settings: Of the training.
    """

    says: str
    title: str
    next_text: str
    model: str
    data: str | None = None
    text: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


class Learner:
    """What one task does its own way in a training; a job overrides what differs.

    Attributes:
        name: Of the task.
        use: Its other half.
        roles: Of the columns that are learned from.
        head: That its models have.
        special: Settings of `SPECIAL` that it obeys.
        act: Its part in the demo.
    """

    name: ClassVar[str]
    use: ClassVar[Use]
    roles: ClassVar[tuple[Role, ...]]
    head: ClassVar[HeadKind] = "classification"
    special: ClassVar[frozenset[str]] = frozenset({"max_windows"})
    act: ClassVar[Act | None] = None

    def recipe(self, model: str) -> Recipe:
        """Give the settings of a training of this model, unless they are changed."""
        return Recipe()

    def obeys(self, key: str, model: str) -> bool:
        """Tell whether a setting changes anything in this task's training of a model."""
        section, _, name = key.rpartition(".")
        if section == "new" and model != NEW:
            return False
        if section == "data" and name in DataChoice.ROLES:
            return name in {role.name for role in self.roles}
        return key not in SPECIAL or key in self.special

    def recipe_with(self, model: str, settings: Mapping[str, Any]) -> Recipe:
        """Give the settings for a model with a person's changes; those not obeyed are refused.

        Raises:
            ConfigError: With every setting that is unknown or changes nothing here.
        """
        recipe = self.recipe(model)
        refuse_unread(recipe, settings, self.name, lambda key: self.obeys(key, model))
        return recipe.changed(settings)

    def read(self, data: object, validation: object, choice: DataChoice) -> Tables:
        """Read the rows to learn from, and those to score on where they are given."""
        table = self.read_rows(data, choice)
        if validation is None:
            return table, None
        # Scores count every row alike, so rows to score on need no weights.
        return table, self.read_rows(validation, replace(choice, weight=None))

    def read_rows(self, data: object, choice: DataChoice) -> Table:
        """Read rows with the roles of the task."""
        return read_table(data, columns=choice.columns, roles=self.roles, **self.reading(choice))

    def reading(self, choice: DataChoice) -> Mapping[str, Any]:
        """Give what else `read_table` has to be told."""
        return {}

    def recognizes(self, data: object, columns: Mapping[str, str]) -> bool:
        """Tell whether rows of an unnamed kind are this task's, for an examination."""
        return False

    def examine(self, table: Table, validation: Table | None, **measures: Any) -> Examination:
        """Look for what is wrong with rows before anyone trains on them; see `examine`."""
        return examine(table, validation, **measures)

    def prepare(self, plan: RunPlan, tables: Tables) -> Prepared:
        """Check and encode the rows, and load or build the model with its techniques.

        Raises:
            DataError: If the rows cannot be learned from.
            CheckpointError: If the model cannot be loaded.
        """
        recipe = plan.recipe
        table, given = tables
        hashes = {"training": table.fingerprint()}
        if given is not None:
            hashes["validation"] = given.fingerprint()
        table, validation = _with_validation(self.usable(table), given, recipe)
        self.check(table, validation)
        notes: list[str] = []
        pretrained = self.model_for(plan, table, notes)
        apply_techniques(pretrained.model, recipe.training)
        task = self.make_task(pretrained, table, recipe)
        examples = self.encoded(task, table, notes)
        held = self.encoded(task, validation, notes) if len(validation) else []
        card = self.card(pretrained, table, recipe)
        pretrained = replace(pretrained, card=card)
        return Prepared(pretrained, task, table, validation, examples, held, hashes, notes)

    def usable(self, table: Table) -> Table:
        """Give the rows that count."""
        return table

    def check(self, table: Table, validation: Table) -> None:
        """Refuse rows that cannot be learned from or scored on."""

    def encoded(self, task: Task, table: Table, notes: list[str]) -> list[Example]:
        """Encode rows, and note what a person should know of them."""
        examples = task.encode(table)
        cut = sum(example.tokens_read < example.tokens_given for example in examples)
        if cut:
            notes.append(
                f"{cut} texts are longer than the windows they are trained on, which are taken "
                f"evenly; max_windows sets how many"
            )
        return examples

    def num_outputs(self, table: Table) -> int:
        """Tell how many numbers the classification head gives for these rows."""
        raise NotImplementedError

    def model_for(self, plan: RunPlan, table: Table, notes: list[str]) -> Pretrained:
        """Build a new model, or load one with a head for these rows."""
        if plan.model == NEW:
            return self.new_model(plan.recipe, table)
        count = self.num_outputs(table)
        seed = plan.recipe.training.seed
        pretrained = load_pretrained(
            locate(plan.model), head=self.head, num_classes=count, seed=seed
        )
        if is_quantized(pretrained.model):
            raise ConfigError(f"{plan.model} is int8, which cannot be trained; name the original")
        if not pretrained.fresh and not self.keeps_head(pretrained, table):
            pretrained = replace(pretrained, fresh=start_head(pretrained.model, seed=seed))
        if pretrained.fresh:
            notes.append(f"started fresh: {', '.join(pretrained.fresh)}")
        if pretrained.left_out:
            notes.append(f"left out, as the task does not use them: {_few(pretrained.left_out)}")
        return pretrained

    def keeps_head(self, pretrained: Pretrained, table: Table) -> bool:
        """Tell whether a loaded head is one for these rows."""
        return pretrained.card.task == self.name

    def new_model(self, recipe: Recipe, table: Table) -> Pretrained:
        """Build a model from nothing, with a vocabulary learned from the training texts."""
        tokenizer = train_tokenizer(table.texts + (table.pairs or []), **recipe.new.tokenizer())
        config = recipe.new.config(
            vocab_size=tokenizer.vocab_size, num_classes=self.num_outputs(table)
        )
        model = build(config, seed=recipe.training.seed)
        return Pretrained(model, tokenizer, Card(), own.TYPE, {})

    def make_task(self, pretrained: Pretrained, table: Table, recipe: Recipe) -> Task:
        """Make the task that encodes rows and computes the loss."""
        raise NotImplementedError

    def card(self, pretrained: Pretrained, table: Table, recipe: Recipe) -> Card:
        """Say what the trained folder says of itself, scores aside."""
        return Card(self.name, is_pair=table.pairs is not None)

    def conclude(self, plan: RunPlan, prepared: Prepared, model: Transformer) -> Outcome:
        """Score the trained model on its validation rows, as `evaluate` will."""
        card = prepared.pretrained.card
        if not len(prepared.validation):
            return Outcome(card)
        report = self.opened(prepared, model).score(prepared.validation)
        return Outcome(replace(card, scores={"validation": report.kept()}), {"validation": report})

    def with_baseline(self, report: Report, model: Any, training: Table, table: Table) -> Report:
        """Add to a report how a simple baseline does that learned from the same training rows.

        Args:
            report: Of the model on `table`.
            model: Opened.
            training: What both learned from.
            table: What the model was scored on.
        """
        return report

    def opened(self, prepared: Prepared, model: Transformer) -> Opened:
        """Open the trained model as it will be used."""
        pretrained = replace(prepared.pretrained, model=model)
        return self.use.open(pretrained, device="cpu", precision="float32")


def _with_validation(table: Table, given: Table | None, recipe: Recipe) -> tuple[Table, Table]:
    """Give rows to learn from and rows to score on: those given, a part split off, or none."""
    if given is not None:
        return table, given
    fraction = recipe.data.validation_fraction
    if fraction == 0.0:
        return table, table.select([])
    return split_table(table, validation_fraction=fraction, seed=recipe.training.seed)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
