"""Translator: a document in, its translation out, of any length, with what happened on the way."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import overload

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.batch import Example
from zhixing.data.windows import Coverage, window_bounds
from zhixing.errors import ConfigError, DataError
from zhixing.generation.degeneration import is_loop, is_unlike_in_length, max_target_tokens
from zhixing.generation.selection import Hypothesis
from zhixing.generation.settings import SearchSettings
from zhixing.generation.shortlist import Shortlist
from zhixing.tasks.batching import resolved
from zhixing.tasks.cross_attention import by_coverage
from zhixing.tasks.inference import checked_text, inference_model, usable_device
from zhixing.tasks.sequence_to_sequence import SequenceToSequenceTask, generate
from zhixing.tasks.translation.languages import (
    code_of,
    is_language_id,
    language_id,
    languages_of,
    text_format_of,
    told_language,
    without_code,
)
from zhixing.tasks.translation.normalization import normalized_punctuation
from zhixing.tasks.translation.placeholders import kept_parts, survive
from zhixing.tasks.translation.result import SentencePair, TranslateOptions, Translation
from zhixing.tasks.translation.sentences import Span, is_language, sentence_spans

# A sentence with more tokens is read in pieces: models learn from shorter ones.
LONGEST_SENTENCE = 200
# Of a second attempt, when the first went round in circles.
RETRY_SETTINGS = {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2}


@dataclass(frozen=True)
class _Piece:
    """Something to be written about, and where it belongs."""

    ids: list[int]
    sentence: int


class Translator:
    """A tokenizer, a model that writes, and documents.

    The object never changes after it is built, so that threads may share it.

    Args:
        pretrained: A loaded folder.
        device: cpu, cuda, cuda:N or mps.
        precision: Of the matrix products; "int8" quantizes.
        shortlist: Which tokens may be written about which; None for all about all.

    Raises:
        ConfigError: If the model does not write, or the device or precision is not there.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        *,
        device: str = "cpu",
        precision: str = "float32",
        shortlist: Shortlist | None = None,
    ) -> None:
        if pretrained.model.next_token is None:
            raise ConfigError(
                f"the model does not write (its head is {pretrained.config.head!r}); name one that "
                f"translates or summarizes"
            )
        self.device = usable_device(device)
        self.precision = resolved(precision, self.device)
        self.model, self.products = inference_model(pretrained.model, self.device, self.precision)
        self.pretrained = replace(pretrained, model=self.model)
        self.shortlist = shortlist
        self.text_format = text_format_of(pretrained)
        self.task = SequenceToSequenceTask(
            self.text_format, max_positions=pretrained.config.max_positions
        )

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
        spans = [self._spans(document, options) for document in documents]
        sentences = [span for own in spans for span in own if span.is_language]
        pairs = iter(self._sentences(sentences, settings, options))
        return [
            _assembled([next(pairs) if span.is_language else _copied(span) for span in own], own)
            for own in spans
        ]

    def _known_code(self, document: str) -> str | None:
        code = code_of(document)
        return (
            code if code is not None and self.text_format.source.id_of(code) is not None else None
        )

    def _each_in_its_language(
        self, documents: Sequence[str], codes: Sequence[str | None], options: TranslateOptions
    ) -> list[Translation]:
        """Translate the documents of each language together."""
        found: dict[int, Translation] = {}
        for code in dict.fromkeys(codes):
            own = [i for i, one in enumerate(codes) if one == code]
            texts = [documents[i] if code is None else without_code(documents[i]) for i in own]
            told = options if code is None else replace(options, target_code=code)
            for i, text, one in zip(own, texts, self.translate(texts, told), strict=True):
                shift = len(documents[i]) - len(text)
                pairs = tuple(
                    replace(pair, start=pair.start + shift, end=pair.end + shift)
                    for pair in one.sentences
                )
                found[i] = replace(one, sentences=pairs)
        return [found[i] for i in range(len(documents))]

    def _spans(self, document: str, options: TranslateOptions) -> list[Span]:
        if options.splits:
            return sentence_spans(document, options.splitting_language)
        return [Span(0, len(document), document, is_language(document))] if document else []

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
    ) -> list["_Written"]:
        """Translate sentences; those that lost a placeholder once more, around it."""
        written = self._texts([span.text for span in spans], settings, options)
        parts = [kept_parts(span.text, options.terms) for span in spans]
        lost = [i for i, own in enumerate(parts) if own and not survive(own, written[i].text)]
        between: list[str] = []
        places: list[tuple[int, int, int]] = []
        for i in lost:
            text = spans[i].text
            edges = [0, *(edge for part in parts[i] for edge in (part.start, part.end)), len(text)]
            for a, b in zip(edges[::2], edges[1::2], strict=True):
                if is_language(text[a:b]):
                    places.append((i, a, b))
                    between.append(text[a:b].strip())
        redone = dict(zip(places, self._texts(between, settings, options), strict=True))
        for i in lost:
            text = spans[i].text
            edges = [0, *(edge for part in parts[i] for edge in (part.start, part.end)), len(text)]
            pieces: list[str] = []
            scores: list[float] = []
            for number, (a, b) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
                stretch = text[a:b]
                found = redone.get((i, a, b))
                if found is not None:
                    left = stretch[: len(stretch) - len(stretch.lstrip())]
                    right = stretch[len(stretch.rstrip()) :]
                    stretch = f"{left}{found.text}{right}"
                    scores.append(found.score)
                pieces.append(stretch)
                if number < len(parts[i]):
                    pieces.append(parts[i][number].wanted)
            score = sum(scores) / len(scores) if scores else 0.0
            flags = dict.fromkeys([*written[i].flags, "parts"])
            written[i] = _Written("".join(pieces), score, tuple(flags), written[i].tokens)
        return written

    def _texts(
        self, texts: Sequence[str], settings: SearchSettings, options: TranslateOptions
    ) -> list["_Written"]:
        """Translate sentences, long ones in pieces, bad ones once more."""
        read = texts
        if options.normalizes:
            read = normalized_punctuation(texts, options.splitting_language)
        all_ids = self.text_format.source.ids(list(read))
        code, task = self.directed(options)
        if task.text_format.first != self.text_format.first:
            settings = settings.changed(forced_first_id=None)
        longest = min(task.longest - 8, LONGEST_SENTENCE)
        pieces: list[_Piece] = []
        for sentence, ids in enumerate(all_ids):
            for a, b in window_bounds(len(ids), size=longest, overlap=0):
                pieces.append(_Piece([*code, *ids[a:b]], sentence))
        written = partial(self._written, task, penalty=options.coverage_penalty)
        found = written(pieces, settings)
        bad = [
            i
            for i, (one, piece) in enumerate(zip(found, pieces, strict=True))
            if _faults(one, piece)
        ]
        flags: list[list[str]] = [[] for _ in pieces]
        if bad:
            again = written([pieces[i] for i in bad], settings.changed(**RETRY_SETTINGS))
            for i, one in zip(bad, again, strict=True):
                flags[i].append("redone")
                if len(_faults(one, pieces[i])) <= len(_faults(found[i], pieces[i])):
                    found[i] = one
                flags[i] += _faults(found[i], pieces[i])
        return self._joined(texts, all_ids, pieces, found, flags)

    def _joined(
        self,
        texts: Sequence[str],
        all_ids: Sequence[Sequence[int]],
        pieces: Sequence[_Piece],
        found: Sequence[Hypothesis],
        flags: Sequence[Sequence[str]],
    ) -> list["_Written"]:
        """Put the pieces of each sentence together."""
        own: list[list[int]] = [[] for _ in texts]
        for i, piece in enumerate(pieces):
            own[piece.sentence].append(i)
        results = []
        for text, ids, numbers in zip(texts, all_ids, own, strict=True):
            written = [self.text_format.text(found[i].ids) for i in numbers]
            log_probs = [p for i in numbers for p in found[i].log_probs]
            told = [flag for i in numbers for flag in flags[i]]
            if len(numbers) > 1:
                told.insert(0, "windowed")
            joined = " ".join(part for part in written if part)
            if not joined:
                # Nothing is dropped: what a model has no words for stays as it is.
                joined, told = text, [*told, "copied"]
            score = sum(log_probs) / max(len(log_probs), 1)
            results.append(_Written(joined, score, tuple(dict.fromkeys(told)), len(ids)))
        return results

    def _written(
        self,
        task: SequenceToSequenceTask,
        pieces: Sequence[_Piece],
        settings: SearchSettings,
        *,
        penalty: float,
    ) -> list[Hypothesis]:
        if not pieces:
            return []
        examples = [
            Example((task.window(piece.ids),), None, i, len(piece.ids), len(piece.ids))
            for i, piece in enumerate(pieces)
        ]
        found = generate(
            self.model,
            task,
            examples,
            settings,
            device=self.device,
            precision=self.products,
            max_target_tokens=max_target_tokens,
            shortlist=self.shortlist,
        )
        if penalty:
            found = by_coverage(
                self.model,
                task,
                examples,
                found,
                penalty,
                device=self.device,
                precision=self.products,
            )
        return [own[0] for own in found]

    def directed(self, options: TranslateOptions) -> tuple[list[int], SequenceToSequenceTask]:
        """Give what is read before a text, and the task, for the languages that are asked for."""
        text_format, code = self.text_format, options.target_code
        usual = told_language(text_format.source)
        if usual is not None and options.source_language is not None:
            told = language_id(text_format.source, options.source_language)
            if told is None:
                raise self._lacks("source_language", options.source_language)
            text_format = replace(text_format, reads=(usual, told))
        before: list[int] = []
        if code is None and self._has_to_be_told:
            raise DataError(
                f"the model writes several languages ({self._known_languages()}), and target_code "
                f"names none; give one (--target)"
            )
        if code is not None:
            number = language_id(text_format.source, code)
            if number is None:
                raise self._lacks("target_code", code)
            if text_format.source.piece(number).startswith(">>"):
                before = [number]
            else:
                text_format = replace(text_format, first=(number,))
        if text_format is self.text_format:
            return before, self.task
        return before, SequenceToSequenceTask(text_format, max_positions=self.task.longest)

    def _lacks(self, name: str, code: str) -> DataError:
        return DataError(
            f"{name} is {code!r}, which the model's vocabulary lacks; of this kind it has "
            f"{self._known_languages() or 'none'}"
        )

    def _known_languages(self) -> str:
        known = languages_of(self.text_format.source)
        more = f" and {len(known) - 12} more" if len(known) > 12 else ""
        return ", ".join(known[:12]) + more

    @property
    def _has_to_be_told(self) -> bool:
        """Tell whether the model was taught to begin with a language, and its folder names none."""
        text_format = self.text_format
        is_told = told_language(text_format.target) is not None
        return (
            is_told
            and not text_format.first
            and not is_language_id(text_format.target, text_format.settings.start_id)
        )


@dataclass(frozen=True)
class _Written:
    text: str
    score: float
    flags: tuple[str, ...]
    tokens: int


def _faults(found: Hypothesis, piece: _Piece) -> list[str]:
    """Name what is wrong with a translation, by its tokens alone."""
    faults = []
    if is_loop(found.ids, piece.ids):
        faults.append("loop")
    if is_unlike_in_length(len(found.ids), len(piece.ids)):
        faults.append("length")
    if not found.has_ended:
        faults.append("cut")
    return faults


def _copied(span: Span) -> _Written:
    flags = ("copied",) if span.text.strip() else ()
    return _Written(span.text, 0.0, flags, 0)


def _assembled(written: Sequence[_Written], spans: Sequence[Span]) -> Translation:
    pairs = tuple(
        SentencePair(span.start, span.end, span.text, one.text, one.score, one.flags)
        for one, span in zip(written, spans, strict=True)
        if span.text.strip()
    )
    flags = dict.fromkeys(flag for pair in pairs for flag in pair.flags if flag != "copied")
    tokens = sum(one.tokens for one in written)
    return Translation(
        "".join(one.text for one in written), pairs, Coverage(tokens, tokens), tuple(flags)
    )
