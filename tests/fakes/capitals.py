"""A fake job: one real number a text, the share of its letters that are capitals."""

from dataclasses import asdict, dataclass, replace

import torch
from torch.nn import functional

from zhixing.data.batch import lay_out
from zhixing.data.roles import LABEL, TEXT, WEIGHT
from zhixing.data.windows import Coverage
from zhixing.jobs.learn import Learner
from zhixing.jobs.report import Agreement, mean_report
from zhixing.jobs.use import Use
from zhixing.tasks.inference import logits_of
from zhixing.tasks.task import Loss
from zhixing.tasks.text_reading import ReadingModel, TextReader
from zhixing.version import __version__

SHARE = replace(LABEL, kind="number")


@dataclass(frozen=True)
class Share:
    value: float
    coverage: Coverage

    def to_dict(self):
        return asdict(self)


class ShareTask(TextReader):
    def encode(self, table):
        return self.examples(table, table.cells.get("label"))

    def collate(self, examples):
        targets = [example.target for example in examples]
        return lay_out(examples, None if None in targets else torch.tensor(targets))

    def weight(self, batch):
        return float(len(batch.target) if batch.weights is None else batch.weights.sum())

    def logits(self, model, batch):
        return self.averaged_logits(model, batch)

    def loss(self, model, batch, *, noise=None, gradient_checkpointing=False):
        found = self.averaged_logits(model, batch, noise=noise).squeeze(-1)
        errors = functional.mse_loss(found, batch.target.to(found), reduction="none")
        total = errors.sum() if batch.weights is None else (errors * batch.weights).sum()
        return Loss(total, self.weight(batch))

    def evaluate(self, model, examples, table, *, device, precision):
        found = logits_of(model, self, examples, device=device, precision=precision).squeeze(-1)
        errors = (found - torch.tensor([example.target for example in examples])).abs()
        return {"loss": float(errors.square().mean()), "closeness": 1 - float(errors.mean())}


class ShareModel(ReadingModel):
    def make_task(self):
        loaded = self.pretrained
        return ShareTask(loaded.tokenizer, max_positions=loaded.config.max_positions)

    def results(self, logits, examples, options=None):
        return [
            Share(value, Coverage(example.tokens_read, example.tokens_given))
            for value, example in zip(logits.squeeze(-1).tolist(), examples, strict=True)
        ]

    def score(self, table, *, against=None, seed=0):
        values = self.logits(self.encode(table)).squeeze(-1)
        closeness = 1 - (values - torch.tensor(table.cells["label"])).abs()
        return mean_report("closeness", closeness, table, self, seed=seed)

    def agreement(self, other, table):
        return Agreement(len(table), table.fingerprint(), __version__)


class ShareUse(Use):
    def open(self, pretrained, *, device, precision):
        return ShareModel(pretrained, device=device, precision=precision)

    def scored(self, card, *, must):
        return (TEXT, SHARE if must else SHARE.optional())


USE = ShareUse()


class ShareLearner(Learner):
    name, use, roles = "capitals", USE, (TEXT, SHARE, WEIGHT)

    def num_outputs(self, table):
        return 1

    def make_task(self, pretrained, table, recipe):
        return ShareTask(pretrained.tokenizer, max_positions=pretrained.config.max_positions)


LEARN = ShareLearner()
