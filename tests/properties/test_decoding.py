"""What holds of decoding for every batch: prefill, KV cache, beams, shared heads, any positions."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from zhixing.generation.search import search
from zhixing.generation.settings import SearchSettings
from zhixing.layers.ragged import Ragged, last_positions
from zhixing.layers.recorder import recording
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer

VOCAB = 13
TOLERANCE = 1e-10
CONFIG = ModelConfig(
    vocab_size=VOCAB,
    hidden_size=16,
    encoder_layers=1,
    decoder_layers=2,
    num_heads=4,
    feed_forward_size=10,
    max_positions=40,
    relative_buckets=6,
    relative_max_distance=9,
    norm_eps=1e-5,
    head="next_token",
)
POSITIONS = ("none", "learned", "sinusoidal", "rotary", "relative", "linear")
quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**31)
forms = st.fixed_dictionaries(
    {
        "encoder_layers": st.sampled_from([0, 1]),
        "num_key_value_heads": st.sampled_from([None, 1, 2]),
        "positions": st.sampled_from(POSITIONS),
        "norm": st.sampled_from(["pre", "post"]),
        "position_offset": st.sampled_from([0, 2]),
        "token_types": st.sampled_from([0, 2]),
    }
)
prompts = st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple)


@dataclass
class Case:
    """A model in which every weight is random, what its encoder reads, and prompts."""

    model: Transformer
    sources: Ragged | None
    prompts: Ragged

    def select(self, rows: list[int]) -> "Case":
        sources = None if self.sources is None else self.sources.select(rows)
        return Case(self.model, sources, self.prompts.select(rows))


def case_of(form: dict[str, Any], lengths: tuple[int, ...], seed: int) -> Case:
    generator = torch.Generator().manual_seed(seed)
    config = replace(CONFIG, **form)
    model = Transformer(config).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.5, generator=generator)
        parameter.requires_grad_(False)

    def drawn(sizes: tuple[int, ...]) -> Ragged:
        return Ragged(torch.randint(0, VOCAB, (sum(sizes),), generator=generator), sizes)

    source_lengths = torch.randint(1, 8, (len(lengths),), generator=generator)
    sources = drawn(tuple(source_lengths.tolist())) if config.encoder_layers else None
    return Case(model, sources, drawn(lengths))


def plainly(case: Case, sequence: int, text: Tensor) -> Tensor:
    """The last hidden state after a text, by the textbook's attention and without any cache."""
    source = None if case.sources is None else case.sources.select([sequence])
    with recording(case.model, "attention.weights"):
        return case.model.decoder_states(source, Ragged(text, (len(text),)))[-1]


def distance(first: Tensor, second: Tensor) -> float:
    """Tell how far two results are apart, by the larger of them."""
    return float((first - second).abs().max()) / max(1.0, float(second.abs().max()))


@quick
@given(form=forms, lengths=prompts, steps=st.integers(1, 5), data=st.data(), seed=seeds)
def test_a_prefill_and_cached_steps_equal_the_textbook(
    form: dict[str, Any], lengths: tuple[int, ...], steps: int, data: st.DataObject, seed: int
) -> None:
    case = case_of(form, lengths, seed)
    states, state = case.model.start(case.sources, case.prompts)
    # Of every sequence that goes on: its number, and the texts of its hypotheses.
    alive = [(number, [text]) for number, text in enumerate(case.prompts.split())]
    for _ in range(steps):
        flat = [(number, text) for number, texts in alive for text in texts]
        for row, (number, text) in enumerate(flat):
            assert distance(states[row], plainly(case, number, text)) < TOLERANCE
        # Whatever a beam search may choose: some sequences end, others change places, and of each
        # go on other hypotheses, more or fewer.
        order = data.draw(st.permutations(range(len(alive))))
        order = order[: data.draw(st.integers(1, len(order)))]
        state.keep(order)
        alive = [alive[i] for i in order]
        width = data.draw(st.integers(1, 3))
        columns = st.integers(0, len(alive[0][1]) - 1)
        parents = [
            data.draw(st.lists(columns, min_size=width, max_size=width)) for _ in range(len(alive))
        ]
        state.descend(torch.tensor(parents))
        token = st.integers(0, VOCAB - 1)
        ids = torch.tensor(
            data.draw(st.lists(token, min_size=len(alive) * width, max_size=len(alive) * width))
        )
        alive = [
            (
                number,
                [
                    torch.cat((texts[i], ids[row * width + j : row * width + j + 1]))
                    for j, i in enumerate(parents[row])
                ],
            )
            for row, (number, texts) in enumerate(alive)
        ]
        states, state = case.model.step(ids, state)


@quick
@given(form=forms, lengths=prompts, seed=seeds)
def test_a_neighbour_changes_nothing(
    form: dict[str, Any], lengths: tuple[int, ...], seed: int
) -> None:
    case = case_of(form, lengths, seed)
    ids = torch.arange(len(lengths)) % VOCAB
    states, state = case.model.start(case.sources, case.prompts)
    stepped, state = case.model.step(ids, state)
    again, _ = case.model.step(ids, state)
    for row in range(len(lengths)):
        alone = case.select([row])
        expected, state = case.model.start(alone.sources, alone.prompts)
        assert distance(states[row], expected[0]) < TOLERANCE
        for together in (stepped, again):
            expected, state = case.model.step(ids[row : row + 1], state)
            assert distance(together[row], expected[0]) < TOLERANCE


@quick
@given(form=forms, length=st.integers(1, 9), count=st.integers(1, 3), seed=seeds)
def test_a_prefill_of_some_tokens_equals_as_many_steps(
    form: dict[str, Any], length: int, count: int, seed: int
) -> None:
    case = case_of(form, (length,) * count, seed)
    texts = case.prompts.values.view(count, length)
    at_once, filled = case.model.start(case.sources, case.prompts)
    firsts = Ragged(texts[:, 0].clone(), (1,) * count)
    states, state = case.model.start(case.sources, firsts)
    for position in range(1, length):
        states, state = case.model.step(texts[:, position], state)
    assert distance(at_once, states) < TOLERANCE
    ids = torch.arange(count)
    assert distance(case.model.step(ids, filled)[0], case.model.step(ids, state)[0]) < TOLERANCE


@quick
@given(form=forms, lengths=prompts, data=st.data(), seed=seeds)
def test_a_prompt_sees_no_future(
    form: dict[str, Any], lengths: tuple[int, ...], data: st.DataObject, seed: int
) -> None:
    case = case_of(form, lengths, seed)
    row = data.draw(st.integers(0, len(lengths) - 1))
    cut = data.draw(st.integers(1, lengths[row]))
    texts = list(case.prompts.split())
    at_once = case.model.decoder_states(case.sources, case.prompts).split(list(lengths))[row]
    texts[row] = texts[row][:cut]
    shorter = Ragged.of(texts)
    states, _ = case.model.start(case.sources, shorter)
    assert distance(states[row], at_once[cut - 1]) < TOLERANCE
    expected = last_positions(case.model.decoder_states(case.sources, shorter), shorter.lengths)
    assert distance(states, expected) < TOLERANCE


@quick
@given(
    form=forms,
    lengths=prompts,
    beams=st.sampled_from([1, 3]),
    size=st.sampled_from([0, 2]),
    penalty=st.sampled_from([1.0, 1.3]),
    seed=seeds,
)
def test_a_search_gives_each_prompt_what_it_gets_alone(
    form: dict[str, Any], lengths: tuple[int, ...], beams: int, size: int, penalty: float, seed: int
) -> None:
    case = case_of(form, lengths, seed)
    told = SearchSettings(
        start_id=0,
        end_ids=(1,),
        max_new_tokens=6,
        num_beams=beams,
        num_results=beams,
        no_repeat_ngram_size=size,
        repetition_penalty=penalty,
    )
    texts = [text.tolist() for text in case.prompts.split()]
    together = search(case.model, case.sources, told, sequences=len(texts), prompts=texts)
    for row, text in enumerate(texts):
        alone = case.select([row])
        (expected,) = search(case.model, alone.sources, told, sequences=1, prompts=[text])
        assert [result.ids for result in together[row]] == [result.ids for result in expected]
        for result, other in zip(together[row], expected, strict=True):
            # Log-probabilities are ranked in float32.
            assert abs(result.score - other.score) < 1e-4 * max(1.0, abs(other.score))


@quick
@given(form=forms, lengths=prompts, seed=seeds)
def test_greedy_decoding_takes_the_textbooks_best_token_every_time(
    form: dict[str, Any], lengths: tuple[int, ...], seed: int
) -> None:
    case = case_of(form, lengths, seed)
    texts = case.prompts.split()
    told = SearchSettings(start_id=0, end_ids=(1,), max_new_tokens=5)
    prompts_given = [text.tolist() for text in texts]
    results = search(case.model, case.sources, told, sequences=len(texts), prompts=prompts_given)
    for number, (text, (result,)) in enumerate(zip(texts, results, strict=True)):
        for token in result.ids:
            logits = case.model.next_logits(plainly(case, number, text)[None])[0]
            # Two tokens may be equal within what float32 tells apart.
            assert float(logits.max() - logits[token]) < 1e-4 * max(1.0, float(logits.abs().max()))
            text = torch.cat((text, torch.tensor([token])))
        assert result.has_ended == (result.ids[-1] == 1)
        assert result.has_ended or len(result.ids) == 5
