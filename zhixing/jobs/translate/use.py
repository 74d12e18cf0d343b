"""Opened translators: `Translator` with scores, agreement and pages."""

from collections.abc import Sequence
from typing import Any

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.table import Table
from zhixing.jobs.report import Line
from zhixing.jobs.sequence_to_sequence.use import WritingModel, WritingUse
from zhixing.tasks.sequence_to_sequence import text_format_of
from zhixing.tasks.translation.languages import has_to_be_told, languages_of
from zhixing.tasks.translation.result import TranslateOptions, Translation
from zhixing.tasks.translation.translator import Translator


class OpenedTranslator(Translator, WritingModel):
    """A translator that is scored as a person would use it: sentence by sentence."""

    def answer(self, table: Table, options: TranslateOptions) -> list[Translation]:
        """Translate every row of a table."""
        return self.translate(table.texts, options)

    def write_about(self, texts: Sequence[str]) -> tuple[list[str], int]:
        """Translate texts as documents."""
        results = self.translate(texts)
        return [result.text for result in results], sum("cut" in each.flags for each in results)


class TranslateUse(WritingUse):
    """How translators are opened and asked."""

    options = TranslateOptions

    def open(self, pretrained: Pretrained, *, device: str, precision: Any) -> OpenedTranslator:
        """Open a loaded folder as a translator."""
        return OpenedTranslator(pretrained, device=device, precision=precision)

    def next_words(self, pretrained: Pretrained) -> str:
        """Give a text, with the language to write where the model has to be told one."""
        text_format = text_format_of(pretrained)
        codes = languages_of(text_format.source)
        if any(code.startswith(">>") for code in codes):
            return f'"{codes[0]} a text of yours"'
        target = f" --target {codes[0]}" if has_to_be_told(text_format) else ""
        return f'"a text of yours"{target}'

    def brief(self, text: str, result: Translation) -> list[Line]:
        """Say every sentence above its translation."""
        lines: list[Line] = []
        for pair in result.sentences:
            lines += [(pair.source, "dim"), (f"  {pair.text}", "")]
        return lines


USE = TranslateUse()
