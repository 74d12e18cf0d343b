"""How a summarizer is trained: pairs of a text and its summary."""

from typing import ClassVar

from zhixing.jobs.sequence_to_sequence.learn import SequenceToSequenceLearner
from zhixing.jobs.summarize.use import USE
from zhixing.jobs.use import Use


class SummarizeLearner(SequenceToSequenceLearner):
    """Learn to write summaries of whole texts."""

    name: ClassVar[str] = "summarize"
    use: ClassVar[Use] = USE


LEARN = SummarizeLearner()
