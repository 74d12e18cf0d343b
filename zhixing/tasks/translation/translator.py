"""Translator: a document in, its translation out, of any length, with what happened on the way."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

from zhixing.data.batch import Example
from zhixing.data.table import checked_text
from zhixing.data.windows import Coverage, even_parts
from zhixing.errors import ConfigError, DataError
from zhixing.generation.rules import is_loop, is_unlike_in_length, max_target_tokens
from zhixing.generation.selection import Hypothesis
from zhixing.generation.settings import SearchSettings
from zhixing.tasks.cross_attention import by_coverage
from zhixing.tasks.scoring import token_log_probs
from zhixing.tasks.sequence_to_sequence import SequenceToSequenceTask
from zhixing.tasks.translation.languages import code_of, directed, splitting_language, without_code
from zhixing.tasks.translation.normalization import normalized_punctuation
from zhixing.tasks.translation.result import SentencePair, TranslateOptions, Translation
from zhixing.tasks.translation.sentences import (
    Span,
    is_language,
    kept_parts,
    sentence_spans,
    stretches_between,
    survive,
)
from zhixing.tasks.writer import TextWriter

# A sentence with more tokens is read in pieces: models learn from shorter ones.
MAX_SENTENCE_TOKENS = 200
# Of a second attempt, when the first went round in circles.
RETRY_SETTINGS = {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2}


@dataclass(frozen=True)
class Sources:
    """Texts made ready to be translated: the one preparation for all that translate.

    Attributes:
        ids: Tokens of each text, without special ones and codes.
        code: Tokens that are read before each of them: a language's code such as `>>fra<<`.
        task: For the languages that were asked for.
    """

    ids: list[list[int]]
    code: list[int]
    task: SequenceToSequenceTask

    def settings(self, settings: SearchSettings, usual: SequenceToSequenceTask) -> SearchSettings:
        """Do not force the usual language first where another one was asked for."""
        if self.task.text_format.first == usual.text_format.first:
            return settings
        return settings.changed(forced_first_id=None)


@dataclass(frozen=True)
class _Piece:
    """A sentence or a part of one: tokens to be translated, and the sentence they belong to."""

    ids: list[int]
    sentence: int


class Translator(TextWriter):
    """Translate documents with a model that writes; see `TextWriter` for its arguments."""

    @overload
    def __call__(
        self, texts: str, *, options: TranslateOptions = TranslateOptions()
    ) -> Translation: ...

    @overload
    def __call__(
        self, texts: list[str] | tuple[str, ...], *, options: TranslateOptions = TranslateOptions()
    ) -> list[Translation]: ...

    def __call__(
        self,
        texts: str | list[str] | tuple[str, ...],
        *,
        options: TranslateOptions = TranslateOptions(),
    ) -> Translation | list[Translation]:
        """Translate one document, or a list in order.

        Raises:
            DataError: If a text is not a string.
        """
        if isinstance(texts, str):
            return self.translate([checked_text(texts, "texts")], options)[0]
        return self.translate([checked_text(text, "texts") for text in texts], options)

    def stream(
        self,
        documents: Iterable[Sequence[str]],
        options: TranslateOptions = TranslateOptions(),
    ) -> Iterator[list[Translation]]:
        """Translate several documents at a time, holding no more than these."""
        for some in documents:
            yield self.translate(some, options)

    def translate(
        self, documents: Sequence[str], options: TranslateOptions = TranslateOptions()
    ) -> list[Translation]:
        """Translate documents, the sentences of all of them together.

        A document that begins with a code the model knows, such as `>>fra<<`, is written in that
        language, before what the options say.
        """
        codes = [self._known_code(document) for document in documents]
        if any(codes):
            return self._each_in_its_language(documents, codes, options)
        settings = self._settings(options)
        spans = [_spans(document, options) for document in documents]
        sentences = [span for parts in spans for span in parts if span.is_language]
        drafts = iter(self._sentences(sentences, settings, options))
        return [
            _assembled(
                [next(drafts) if span.is_language else _copied(span) for span in parts], parts
            )
            for parts in spans
        ]

    def prepare(self, texts: Sequence[str], options: TranslateOptions) -> Sources:
        """Normalize and tokenize texts, and choose the languages that are asked for.

        Raises:
            DataError: If the model lacks a language, or has to be told one.
        """
        read = list(texts)
        if options.normalizes:
            read = normalized_punctuation(read, splitting_language(options.source_language))
        code, text_format = directed(self.text_format, options.source_language, options.target_code)
        task = self.task
        if text_format is not self.text_format:
            task = SequenceToSequenceTask(text_format, max_positions=task.longest)
        return Sources(self.text_format.source.ids(read), code, task)

    def prepare_sentence(
        self, source: str, options: TranslateOptions, start: str = ""
    ) -> tuple[Sources, Example]:
        """Prepare one sentence that has to fit the model, and how its translation begins.

        Raises:
            DataError: If it is blank, or it or the start is too long.
        """
        sources = self.prepare([checked_text(source, "source")], options)
        if not sources.ids[0]:
            raise DataError("source is blank; give a sentence")
        begun = self.text_format.target.ids([checked_text(start, "start")])[0]
        return sources, sources.task.fitting_example([*sources.code, *sources.ids[0]], begun)

    def _known_code(self, document: str) -> str | None:
        code = code_of(document)
        is_known = code is not None and self.text_format.source.id_of(code) is not None
        return code if is_known else None

    def _each_in_its_language(
        self, documents: Sequence[str], codes: Sequence[str | None], options: TranslateOptions
    ) -> list[Translation]:
        """Translate the documents of each language together."""
        translations: dict[int, Translation] = {}
        for code in dict.fromkeys(codes):
            numbers = [i for i, other in enumerate(codes) if other == code]
            texts = [documents[i] if code is None else without_code(documents[i]) for i in numbers]
            told = options if code is None else replace(options, target_code=code)
            for i, text, result in zip(numbers, texts, self.translate(texts, told), strict=True):
                shift = len(documents[i]) - len(text)
                pairs = tuple(
                    replace(pair, start=pair.start + shift, end=pair.end + shift)
                    for pair in result.sentences
                )
                translations[i] = replace(result, sentences=pairs)
        return [translations[i] for i in range(len(documents))]

    def _settings(self, options: TranslateOptions) -> SearchSettings:
        settings = self.text_format.settings.changed(num_results=1)
        if options.num_beams is not None:
            settings = settings.with_beams(options.num_beams)
        if options.length_penalty is not None:
            settings = settings.changed(length_penalty=options.length_penalty)
        if options.coverage_penalty:
            if not 0 < options.coverage_penalty <= 100 or settings.num_beams == 1:
                raise ConfigError(
                    f"coverage_penalty is {options.coverage_penalty} and num_beams is "
                    f"{settings.num_beams}; it chooses among the hypotheses of a beam, so it has "
                    f"to lie between 0 and 100, and the beams have to be at least 2"
                )
            settings = settings.changed(num_results=settings.num_beams)
        return settings

    def _sentences(
        self, spans: Sequence[Span], settings: SearchSettings, options: TranslateOptions
    ) -> list["_Draft"]:
        """Translate sentences; those that lost a placeholder once more, around it."""
        drafts = self._drafts([span.text for span in spans], settings, options)
        parts = [kept_parts(span.text, options.terms) for span in spans]
        lost = [i for i, kept in enumerate(parts) if kept and not survive(kept, drafts[i].text)]
        stretches = {i: stretches_between(parts[i], spans[i].text) for i in lost}
        words = [
            (i, a, b) for i in lost for a, b in stretches[i] if is_language(spans[i].text[a:b])
        ]
        texts = [spans[i].text[a:b].strip() for i, a, b in words]
        redone = dict(zip(words, self._drafts(texts, settings, options), strict=True))
        for i in lost:
            pieces: list[str] = []
            scores: list[float] = []
            for number, (a, b) in enumerate(stretches[i]):
                stretch = spans[i].text[a:b]
                draft = redone.get((i, a, b))
                if draft is not None:
                    left = stretch[: len(stretch) - len(stretch.lstrip())]
                    stretch = f"{left}{draft.text}{stretch[len(stretch.rstrip()) :]}"
                    scores.append(draft.score)
                pieces.append(stretch)
                if number < len(parts[i]):
                    pieces.append(parts[i][number].wanted)
            score = sum(scores) / len(scores) if scores else 0.0
            flags = dict.fromkeys([*drafts[i].flags, "parts"])
            drafts[i] = _Draft("".join(pieces), score, tuple(flags), drafts[i].tokens)
        return drafts

    def _drafts(
        self, texts: Sequence[str], settings: SearchSettings, options: TranslateOptions
    ) -> list["_Draft"]:
        """Translate sentences, long ones in pieces, bad ones once more."""
        sources = self.prepare(texts, options)
        settings = sources.settings(settings, self.task)
        longest = min(sources.task.longest - 8, MAX_SENTENCE_TOKENS)
        pieces = [
            _Piece([*sources.code, *ids[a:b]], sentence)
            for sentence, ids in enumerate(sources.ids)
            for a, b in even_parts(len(ids), size=longest)
        ]
        penalty = options.coverage_penalty
        best = self._best(sources.task, pieces, settings, penalty)
        flags: list[list[str]] = [[] for _ in pieces]
        bad = [i for i, piece in enumerate(pieces) if faults_of(best[i], piece.ids)]
        if bad:
            retried = settings.changed(**RETRY_SETTINGS)
            again = self._best(sources.task, [pieces[i] for i in bad], retried, penalty)
            for i, second in zip(bad, again, strict=True):
                best[i] = self._better(sources.task, pieces[i].ids, best[i], second)
                flags[i] = ["redone", *faults_of(best[i], pieces[i].ids)]
        return self._joined(texts, sources.ids, pieces, best, flags)

    def _better(
        self,
        task: SequenceToSequenceTask,
        source_ids: Sequence[int],
        first: Hypothesis,
        second: Hypothesis,
    ) -> Hypothesis:
        """Choose between two attempts: fewer faults win, then what the model holds likelier.

        How likely is asked again, without the penalties under which the second was written: the
        mean log-probability of a token, by teacher forcing.
        """
        faults = [len(faults_of(attempt, source_ids)) for attempt in (first, second)]
        if faults[0] != faults[1]:
            return first if faults[0] < faults[1] else second
        examples = [task.written_example(source_ids, attempt.ids) for attempt in (first, second)]
        means = [sum(probs) / len(probs) for probs in token_log_probs(self, task, examples)]
        return second if means[1] > means[0] else first

    def _joined(
        self,
        texts: Sequence[str],
        all_ids: Sequence[Sequence[int]],
        pieces: Sequence[_Piece],
        best: Sequence[Hypothesis],
        flags: Sequence[Sequence[str]],
    ) -> list["_Draft"]:
        """Put the pieces of each sentence together."""
        numbers_of: list[list[int]] = [[] for _ in texts]
        for i, piece in enumerate(pieces):
            numbers_of[piece.sentence].append(i)
        drafts = []
        for text, ids, numbers in zip(texts, all_ids, numbers_of, strict=True):
            parts = [self.text_format.text(best[i].ids) for i in numbers]
            log_probs = [p for i in numbers for p in best[i].log_probs]
            told = [flag for i in numbers for flag in flags[i]]
            if len(numbers) > 1:
                told.insert(0, "windowed")
            joined = " ".join(part for part in parts if part)
            if not joined:
                # Nothing is dropped: what a model has no words for stays as it is.
                joined, told = text, [*told, "copied"]
            score = sum(log_probs) / max(len(log_probs), 1)
            drafts.append(_Draft(joined, score, tuple(dict.fromkeys(told)), len(ids)))
        return drafts

    def _best(
        self,
        task: SequenceToSequenceTask,
        pieces: Sequence[_Piece],
        settings: SearchSettings,
        penalty: float,
    ) -> list[Hypothesis]:
        """Give the best hypothesis of each piece."""
        if not pieces:
            return []
        examples = [
            Example((task.window(piece.ids),), None, i, len(piece.ids), len(piece.ids))
            for i, piece in enumerate(pieces)
        ]
        written = self.generate(task, examples, settings, max_target_tokens=max_target_tokens)
        if penalty:
            written = by_coverage(
                self.model,
                task,
                examples,
                written,
                penalty,
                device=self.device,
                precision=self.products,
            )
        return [hypotheses[0] for hypotheses in written]


@dataclass(frozen=True)
class _Draft:
    """A translated sentence: its text, mean log-probability, flags, and how many tokens it read."""

    text: str
    score: float
    flags: tuple[str, ...]
    tokens: int


def faults_of(hypothesis: Hypothesis, source_ids: Sequence[int]) -> list[str]:
    """Name what is wrong with a translation, by its tokens alone."""
    faults = []
    if is_loop(hypothesis.ids, source_ids):
        faults.append("loop")
    if is_unlike_in_length(len(hypothesis.ids), len(source_ids)):
        faults.append("length")
    if not hypothesis.has_ended:
        faults.append("cut")
    return faults


def _spans(document: str, options: TranslateOptions) -> list[Span]:
    if options.splits:
        return sentence_spans(document, splitting_language(options.source_language))
    return [Span(0, len(document), document, is_language(document))] if document else []


def _copied(span: Span) -> _Draft:
    flags = ("copied",) if span.text.strip() else ()
    return _Draft(span.text, 0.0, flags, 0)


def _assembled(drafts: Sequence[_Draft], spans: Sequence[Span]) -> Translation:
    pairs = tuple(
        SentencePair(span.start, span.end, span.text, draft.text, draft.score, draft.flags)
        for draft, span in zip(drafts, spans, strict=True)
        if span.text.strip()
    )
    flags = dict.fromkeys(flag for pair in pairs for flag in pair.flags if flag != "copied")
    tokens = sum(draft.tokens for draft in drafts)
    return Translation(
        "".join(draft.text for draft in drafts), pairs, Coverage(tokens, tokens), tuple(flags)
    )
