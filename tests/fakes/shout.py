"""A fake job that writes: the text again, in capitals."""

from dataclasses import asdict, dataclass

import torch

from zhixing.data.windows import Coverage
from zhixing.jobs.report import mean_report
from zhixing.jobs.sequence_to_sequence.learn import SequenceToSequenceLearner
from zhixing.jobs.sequence_to_sequence.use import WritingModel, WritingUse


@dataclass(frozen=True)
class Shouted:
    text: str
    coverage: Coverage
    flags: tuple[str, ...] = ()

    def to_dict(self):
        return asdict(self)


class Shouter(WritingModel):
    def __call__(self, texts, *, options=None):
        one = isinstance(texts, str)
        shouted = self._shouted([texts] if one else list(texts))
        return shouted[0] if one else shouted

    def answer(self, table, options):
        return self._shouted(table.texts)

    def write_about(self, texts):
        return [shouted.text for shouted in self._shouted(texts)], 0

    def score(self, table, *, against=None, seed=0):
        texts, _ = self.write_about(table.texts)
        is_same = [a == b for a, b in zip(texts, table.targets, strict=True)]
        return mean_report("same", torch.tensor(is_same).double(), table, self, seed=seed)

    def _shouted(self, texts):
        ids = self.text_format.source.ids(list(texts))
        examples = [self.task.fitting_example(each, name="text") for each in ids]
        settings = self.text_format.settings.with_beams(1)
        written = self.generate(self.task, examples, settings)
        return [
            Shouted(self.text_format.text(best.ids), Coverage(len(each), len(each)))
            for each, (best, *_) in zip(ids, written, strict=True)
        ]


class ShoutUse(WritingUse):
    def open(self, pretrained, *, device, precision):
        return Shouter(pretrained, device=device, precision=precision)


USE = ShoutUse()


class ShoutLearner(SequenceToSequenceLearner):
    name, use = "shout", USE


LEARN = ShoutLearner()
