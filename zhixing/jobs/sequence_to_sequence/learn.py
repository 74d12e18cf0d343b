"""How sequence-to-sequence models are trained: pairs of texts, a decoder, BLEU and chrF."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.card import Card
from zhixing.checkpoints.pretrained import Pretrained, load_pretrained
from zhixing.data.batch import Example
from zhixing.data.roles import PAIRS, Role
from zhixing.data.table import Table
from zhixing.errors import ConfigError, DataError
from zhixing.jobs.learn import Learner, Outcome, Prepared, Tables
from zhixing.metrics.bleu import text_scores
from zhixing.models.config import HeadKind
from zhixing.models.families.known import expresses
from zhixing.models.quantization import dequantize, is_quantized
from zhixing.models.transformer import Transformer, build
from zhixing.tasks.inference import each_batch
from zhixing.tasks.sequence_to_sequence import SequenceToSequenceTask, generate, text_format_of
from zhixing.tasks.translation.languages import code_of, without_code
from zhixing.tokenization.training import train_tokenizer
from zhixing.training.config import TrainingConfig
from zhixing.training.recipe import NEW, DataChoice, NewModel, Recipe
from zhixing.training.run_plan import RunPlan

# What most such models are decoded with.
NUM_BEAMS = 4
CHEAP = (
    "validation during training is decoded greedily, each row as a whole; the scores at the end "
    "are those of zhixing evaluate"
)


class TrainingTask(SequenceToSequenceTask):
    """The task with what only a training needs: scores of written validation texts."""

    def evaluate(
        self,
        model: Transformer,
        examples: Sequence[Example],
        table: Table,
        *,
        device: torch.device,
        precision: str,
    ) -> dict[str, float]:
        """Compute the loss without smoothing, and BLEU and chrF of what is written greedily."""
        references = dict(zip(table.rows, table.targets or [], strict=True))
        hypotheses = generate(
            model,
            self,
            examples,
            self.text_format.settings.with_beams(1),
            device=device,
            precision=precision,
        )
        texts = [self.text_format.text(best.ids) for best, *_ in hypotheses]
        scores = text_scores(texts, [references[example.row] for example in examples])
        loss = self._mean_loss(model, examples, device=device, precision=precision)
        return {"loss": loss, "bleu": scores.bleu, "chrf": scores.chrf}

    def _mean_loss(
        self,
        model: Transformer,
        examples: Sequence[Example],
        *,
        device: torch.device,
        precision: str,
    ) -> float:
        plain = SequenceToSequenceTask(self.text_format, max_positions=self.longest)

        def compute(rows: list[int]) -> tuple[float, float]:
            batch = plain.collate([examples[row] for row in rows]).to(device)
            loss = plain.loss(model, batch)
            return float(loss.total), loss.weight

        sizes = [example.num_tokens for example in examples]
        parts = each_batch(compute, sizes, device=device, precision=precision)
        return sum(total for _, (total, _) in parts) / sum(weight for _, (_, weight) in parts)


class SequenceToSequenceLearner(Learner):
    """Learn to write one text about another."""

    roles: ClassVar[tuple[Role, ...]] = PAIRS
    head: ClassVar[HeadKind] = "next_token"
    special: ClassVar[frozenset[str]] = frozenset(
        {"data.old", "label_smoothing", "new.decoder_layers"}
    )

    def recipe(self, model: str) -> Recipe:
        """Give the settings of a training on pairs: of a new model, or one that is adapted."""
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

    def prepare(self, plan: RunPlan, tables: Tables) -> Prepared:
        """Prepare the pairs and the model, and the pairs of the kind it was made for."""
        if plan.recipe.data.old is None:
            return super().prepare(plan, tables)
        if plan.model == NEW:
            raise ConfigError("old names what a model was made for, and a new one has no such past")
        old_hash = self._old_pairs(plan).fingerprint()
        prepared = super().prepare(plan, tables)
        return replace(prepared, hashes={**prepared.hashes, "old": old_hash})

    def encoded(self, task: Any, table: Table, notes: list[str]) -> list[Example]:
        """Encode pairs; those that are too long are left out, and counted."""
        examples: list[Example] = task.encode(table)
        if len(examples) < len(table):
            notes.append(
                f"{table.source}: {len(table) - len(examples)} pairs are longer than "
                f"{task.longest} tokens on one side and are left out"
            )
        if not examples:
            raise DataError(
                f"{table.source}: every pair is longer than {task.longest} tokens on one side; "
                f"give sentences"
            )
        return examples

    def model_for(self, plan: RunPlan, table: Table, notes: list[str]) -> Pretrained:
        """Build a new model, or load one that writes; one that is int8 gets its floats back."""
        notes.append(CHEAP)
        if plan.model == NEW:
            return self.new_model(plan.recipe, table)
        pretrained = load_pretrained(locate(plan.model))
        if pretrained.model.next_token is None:
            raise ConfigError(
                f"{plan.model} does not write (its head is {pretrained.config.head!r}); name a "
                f"model that translates or summarizes, or new"
            )
        if not is_quantized(pretrained.model):
            return pretrained
        # What it learned in more bits is not known any more; training goes on from what is there.
        dequantize(pretrained.model)
        name = "m2m_100" if expresses("m2m_100", pretrained.config) else pretrained.model_type
        return replace(pretrained, model_type=name, values={})

    def new_model(self, recipe: Recipe, table: Table) -> Pretrained:
        """Build a model from nothing, with one vocabulary learned from both sides of the pairs.

        Codes with which sources begin, such as `>>fra<<`, name the language to be written.
        """
        new = recipe.new
        codes = sorted({code for text in table.texts if (code := code_of(text)) is not None})
        tokenizer = train_tokenizer(
            [*map(without_code, table.texts), *(table.targets or [])],
            **new.tokenizer(),
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
        never_written = (start, padding, tokenizer.unknown_id, tokenizer.mask_id)
        suppressed = [i for i in (*never_written, *map(tokenizer.id_of, codes)) if i]
        generation = {
            **ids,
            "max_length": recipe.new.max_positions,
            "num_beams": NUM_BEAMS,
            "forced_eos_token_id": end,
            "suppress_tokens": sorted({start, padding, *suppressed}),
        }
        model = build(config, seed=recipe.training.seed)
        return Pretrained(model, tokenizer, Card(), "m2m_100", ids, generation)

    def make_task(self, pretrained: Pretrained, table: Table, recipe: Recipe) -> TrainingTask:
        """Make the task that writes as the model does."""
        return TrainingTask(
            text_format_of(pretrained),
            max_positions=pretrained.config.max_positions,
            label_smoothing=recipe.training.label_smoothing,
        )

    def card(self, pretrained: Pretrained, table: Table, recipe: Recipe) -> Card:
        """Keep what the model's card says, under the task it is trained for."""
        return replace(pretrained.card, task=self.name, quantization={})

    def conclude(self, plan: RunPlan, prepared: Prepared, model: Transformer) -> Outcome:
        """Score the trained model on its validation pairs, decoded as it will be.

        A model that was adapted is held against what it was before, there and on pairs of the kind
        that it was made for.
        """
        card = prepared.pretrained.card
        tables = {"validation": prepared.validation} if len(prepared.validation) else {}
        if plan.recipe.data.old is not None:
            tables["old domain"] = self._old_pairs(plan)
        if not tables:
            return Outcome(card)
        opened, before = self.opened(prepared, model), None
        if plan.model != NEW:
            original = load_pretrained(locate(plan.model))
            before = self.use.open(original, device="cpu", precision="float32")
        reports = {name: opened.score(table, against=before) for name, table in tables.items()}
        kept = {name: report.kept() for name, report in reports.items()}
        return Outcome(replace(card, scores=kept), reports)

    def _old_pairs(self, plan: RunPlan) -> Table:
        return self.read_rows(plan.recipe.data.old, replace(plan.recipe.data, weight=None))
