"""How a translator is trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from zhixing.data.aligned import aligned_paths
from zhixing.data.columns import speaks_of_pairs
from zhixing.data.doctors.labels import Examination
from zhixing.data.doctors.pairs import examine_pairs
from zhixing.data.table import Table
from zhixing.jobs.learn import Act
from zhixing.jobs.sequence_to_sequence.learn import SequenceToSequenceLearner
from zhixing.jobs.translate.use import USE
from zhixing.jobs.use import Use

# To be translated: everyday sentences and some of software, with what must stay as it is.
LETTER = """Good morning! Where is the station?
The meeting starts at 9:30, so please don't be late.

The function returns a list of strings. Choose a name, then click {button} to save the file.
See https://example.org/help for more information.
"""


class TranslateLearner(SequenceToSequenceLearner):
    """Learn to translate from pairs of sentences."""

    name: ClassVar[str] = "translate"
    use: ClassVar[Use] = USE
    act: ClassVar[Act | None] = Act(
        "Translating a letter.",
        title="A letter in French, by the built-in en-fr",
        next_text="This is an example sentence.",
        model="en-fr",
        text=LETTER,
    )

    def recognizes(self, data: object, columns: Mapping[str, str]) -> bool:
        """Take two files whose lines belong together, and tables named as sources and targets."""
        if isinstance(data, str | Path) and aligned_paths(data) is not None:
            return True
        return speaks_of_pairs(columns)

    def examine(self, table: Table, validation: Table | None, **measures: Any) -> Examination:
        """Look for pairs that do not fit: lengths, numbers, languages, lines that slipped."""
        return examine_pairs(table, validation, **measures)


LEARN = TranslateLearner()
