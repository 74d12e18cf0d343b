"""SearchSettings: beam search, greedy decoding and sampling, and the rules of each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from zhixing.errors import ConfigError

EarlyStopping = Literal["no", "yes", "never"]
# What published files call the same, and what each of their values means here.
_EARLY: dict[Any, EarlyStopping] = {False: "no", None: "no", True: "yes", "never": "never"}


@dataclass(frozen=True)
class SearchSettings:
    """The settings of decoding: beams, length penalty, early stopping, top-k, top-p, ....

    Attributes:
        start_id: What the decoder reads first where there is no prompt; no result holds it.
        end_ids: Any of them ends a hypothesis, and stands in its result.
        max_new_tokens: Longest result in tokens, its end included.
        min_new_tokens: A result may end only after so many tokens, its end not counted.
        num_beams: Hypotheses that a beam search follows; 1 is greedy decoding.
        num_results: How many hypotheses are given back, best first.
        num_groups: Groups of beams that keep apart; 1 for a plain beam.
        diversity_penalty: What a token costs for each beam of an earlier group that took it at the
            same step.
        length_penalty: The sum of log-probabilities is divided by the length to this power, see
            `ranking.penalized`.
        early_stopping: When a beam has enough: "no" when the best that is open cannot beat the
            worst that has ended, were it to end now; "yes" as soon as `num_beams` have ended;
            "never" when it cannot at any length.
        forced_first_id: The first token, whatever the model says.
        forced_last_id: The token at `max_new_tokens`, whatever the model says.
        suppressed_ids: Never chosen.
        no_repeat_ngram_size: No so many tokens in a row occur twice; 0 to allow it.
        repetition_penalty: Divides the score of a token that was written before; 1 for none.
        temperature: Divides the logits before a token is drawn; 0 takes the best ones.
        top_k: Draw from so many of the likeliest tokens; 0 for all.
        top_p: Draw from the likeliest tokens that reach this probability together.
        seed: Of drawing.

    Source:
        Wu et al. 2016, arXiv:1609.08144, section 7, for the search over beams and the penalty,
        which is the plain power here, as in the reference library; Paulus et al. 2018,
        arXiv:1705.04304, section 2.5, for repetition; Keskar et al. 2019, arXiv:1909.05858,
        section 4.1, for its penalty; Holtzman et al. 2020, arXiv:1904.09751, for `top_p`;
        Vijayakumar et al. 2016, arXiv:1610.02424, for groups.
    """

    start_id: int
    end_ids: tuple[int, ...]
    max_new_tokens: int = 256
    min_new_tokens: int = 0
    num_beams: int = 1
    num_results: int = 1
    num_groups: int = 1
    diversity_penalty: float = 0.0
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = "no"
    forced_first_id: int | None = None
    forced_last_id: int | None = None
    suppressed_ids: tuple[int, ...] = ()
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float, float]] = {
            "max_new_tokens": (1, 1_000_000),
            "min_new_tokens": (0, self.max_new_tokens),
            "num_beams": (1, 256),
            "num_results": (1, self.num_beams if self.temperature == 0.0 else 256),
            "num_groups": (1, self.num_beams),
            "diversity_penalty": (0.0, 1000.0),
            "length_penalty": (-10.0, 10.0),
            "no_repeat_ngram_size": (0, 1_000),
            "repetition_penalty": (0.01, 100.0),
            "temperature": (0.0, 100.0),
            "top_k": (0, 10_000_000),
            "top_p": (1e-6, 1.0),
        }
        faults = [
            f"{name} is {getattr(self, name)}; it has to lie between {low:g} and {high:g}"
            for name, (low, high) in ranges.items()
            if not low <= getattr(self, name) <= high
        ]
        if self.num_beams > 1 and self.temperature > 0.0:
            faults.append(
                f"num_beams is {self.num_beams} and temperature is {self.temperature}; a beam does "
                f"not draw: set num_beams=1 or temperature=0"
            )
        if self.num_groups > 0 and self.num_beams % self.num_groups:
            faults.append(
                f"num_beams is {self.num_beams}, which num_groups = {self.num_groups} does not "
                f"divide; give as many beams to each group"
            )
        if not self.end_ids:
            faults.append("end_ids is empty; a result has to end with some token")
        if faults:
            raise ConfigError("; ".join(faults))

    @property
    def width(self) -> int:
        """Tell how many hypotheses of each sequence are alive at once."""
        return self.num_beams if self.temperature == 0.0 else self.num_results

    def with_beams(self, count: int) -> "SearchSettings":
        """Give one result by so many plain beams."""
        return self.changed(num_beams=count, num_results=1, num_groups=1, diversity_penalty=0.0)

    def changed(self, **values: Any) -> "SearchSettings":
        """Change some settings."""
        return replace(self, **values)


def read_settings(values: Mapping[str, Any], generation: Mapping[str, Any]) -> SearchSettings:
    """Read what a model folder says of decoding.

    `generation_config.json` counts before `config.json`, where older folders keep these keys.

    Raises:
        ConfigError: If it does not say how to start and end, or says something that is not so.
    """
    said: dict[str, Any] = {}
    for source in (values, generation):
        said |= {key: value for key, value in source.items() if value is not None}
    ends = _ids(said.get("eos_token_id"), "eos_token_id")
    start = said.get("decoder_start_token_id", said.get("bos_token_id"))
    if not isinstance(start, int) or not ends:
        raise ConfigError(
            f"decoder_start_token_id is {start!r} and eos_token_id is "
            f"{said.get('eos_token_id')!r}; both have to be token ids, in generation_config.json "
            f"or config.json"
        )
    longest = said.get("max_length", 256)
    early = said.get("early_stopping", False)
    if early not in _EARLY:
        raise ConfigError(f"early_stopping is {early!r}; allowed are true, false and 'never'")
    beams = int(said.get("num_beams", 1))
    forced = _ids(said.get("forced_eos_token_id"), "forced_eos_token_id")
    return SearchSettings(
        start_id=start,
        end_ids=ends,
        # Theirs counts the start token.
        max_new_tokens=max(int(longest) - 1, 1),
        num_beams=beams,
        num_groups=int(said.get("num_beam_groups", 1)),
        diversity_penalty=float(said.get("diversity_penalty", 0.0)),
        length_penalty=float(said.get("length_penalty", 1.0)),
        early_stopping=_EARLY[early],
        forced_first_id=said.get("forced_bos_token_id"),
        forced_last_id=forced[0] if forced else None,
        suppressed_ids=_suppressed(said),
        no_repeat_ngram_size=int(said.get("no_repeat_ngram_size", 0)),
        repetition_penalty=float(said.get("repetition_penalty", 1.0)),
    )


def _ids(value: object, name: str) -> tuple[int, ...]:
    listed = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(token_id) is int for token_id in listed):
        raise ConfigError(f"{name} is {value!r}; it has to be a token id, or a list of them")
    return tuple(listed)


def _suppressed(said: Mapping[str, Any]) -> tuple[int, ...]:
    """Gather the tokens that are never written: those named one by one."""
    words = said.get("bad_words_ids") or []
    longer = [word for word in words if len(word) != 1]
    if longer:
        raise ConfigError(
            f"bad_words_ids holds {longer[0]}, several tokens in a row; only single tokens can be "
            f"suppressed: take it out of generation_config.json"
        )
    single = [word[0] for word in words]
    return tuple(dict.fromkeys([*single, *_ids(said.get("suppress_tokens"), "suppress_tokens")]))
