"""A real trained encoder-decoder, read from its file and held against its published outputs.

The file is CTranslate2's; its layout and the reference values are those of the data's description:
Arabic to Latin letters, 6 + 6 layers, pre-norm, sines then cosines counted from 1.
"""

import struct
from pathlib import Path

import pytest
import torch
from shared_data import real_set
from torch import Tensor

from zhixing.generation.search import search
from zhixing.generation.settings import SearchSettings
from zhixing.layers.ragged import Ragged
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer

SET = ("weights", "aren-transliteration-ct2")
ATZMON = (
    "آتزمون",
    "atzmon",
    (-0.10602, -0.06541, -0.05600, -0.44795, -0.23071, -0.09218, -0.06346),
)
ACHISON = (
    "آتشيسون",
    "achison",
    (-0.07266, -0.30031, -0.18119, -0.39567, -0.02563, -0.12347, -0.00203, -0.01264),
)


class Reader:
    """Read numbers, names and arrays one after the other."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self.content, self.place)
        self.place += struct.calcsize(form)
        return int(value)

    def text(self) -> str:
        return self.bytes(self.number("H")).rstrip(b"\0").decode()

    def bytes(self, count: int) -> bytes:
        self.place += count
        return self.content[self.place - count : self.place]


def read_arrays(path: Path) -> dict[str, Tensor]:
    reader = Reader(path.read_bytes())
    reader.number("I"), reader.text(), reader.number("I")
    arrays = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        size, count = reader.number("B"), reader.number("I")
        values = torch.frombuffer(bytearray(reader.bytes(size * count)), dtype=torch.float32)
        arrays[name] = values.view(shape)
    return arrays


def our_name(theirs: str) -> str:
    parts = theirs.replace("layer_norm", "norm").split("/")
    last = {"beta": "bias", "gamma": "weight"}.get(parts[-1], parts[-1])
    if parts[1] == "embeddings":
        return ("embedding" if parts[0] == "encoder" else "decoder_embedding") + ".tokens.weight"
    if parts[1] == "projection":
        return f"next_token.output.{last}"
    if parts[1] == "norm":
        return f"{parts[0]}.norm.{last}"
    block = f"{parts[0]}.blocks.{parts[1].removeprefix('layer_')}"
    kind, part = parts[2], parts[3]
    if part == "norm":
        place = {"self_attention": "attention", "attention": "cross", "ffn": "feed_forward"}[kind]
        return f"{block}.{place}_residual.norm.{last}"
    names = {
        "self_attention": {"linear_0": "attention.query_key_value", "linear_1": "attention.output"},
        "attention": {
            "linear_0": "cross_attention.query",
            "linear_1": "cross_attention.key_value",
            "linear_2": "cross_attention.output",
        },
        "ffn": {"linear_0": "feed_forward.expand", "linear_1": "feed_forward.contract"},
    }
    return f"{block}.{names[kind][part]}.{last}"


@pytest.fixture(scope="module")
def model() -> Transformer:
    config = ModelConfig(
        vocab_size=51,
        decoder_vocab_size=43,
        hidden_size=32,
        encoder_layers=6,
        decoder_layers=6,
        num_heads=8,
        feed_forward_size=128,
        activation="relu",
        norm="pre",
        norm_eps=1e-6,
        positions="sinusoidal",
        sinusoid="halves_inclusive",
        position_offset=1,
        max_positions=None,
        embedding_norm=False,
        embedding_scale=True,
        head="next_token",
        tie_output=False,
        output_bias=True,
    )
    model = Transformer(config)
    arrays = read_arrays(real_set(*SET, "model.bin"))
    model.load_state_dict({our_name(name): value for name, value in arrays.items()})
    return model


def words(side: str) -> list[str]:
    return real_set(*SET, f"{side}_vocabulary.txt").read_text(encoding="utf-8").splitlines()


def ids(text: str, side: str) -> list[int]:
    known = words(side)
    return [known.index(letter) for letter in text]


def settings(beams: int) -> SearchSettings:
    known = words("target")
    return SearchSettings(
        start_id=known.index("<s>"),
        end_ids=(known.index("</s>"),),
        max_new_tokens=30,
        num_beams=beams,
        num_results=beams,
    )


def found(model: Transformer, sources: list[str], beams: int) -> list[list[tuple[str, float]]]:
    batch = Ragged.of([torch.tensor(ids(source, "source")) for source in sources])
    known = words("target")
    results = search(model, batch, settings(beams), sequences=len(sources))
    return [
        [("".join(known[i] for i in one.ids[:-1]), one.score) for one in own] for own in results
    ]


@pytest.mark.parametrize(("source", "target", "expected"), [ATZMON, ACHISON])
def test_every_token_is_as_likely_as_published(
    model: Transformer, source: str, target: str, expected: tuple[float, ...]
) -> None:
    written = [*ids(target, "target"), words("target").index("</s>")]
    before = [words("target").index("<s>"), *written[:-1]]
    read = torch.tensor(ids(source, "source"))
    with torch.no_grad():
        states = model.decoder_states(Ragged.of([read]), Ragged.of([torch.tensor(before)]))
        log_probs = model.next_logits(states).log_softmax(-1)
    told = log_probs[torch.arange(len(written)), torch.tensor(written)]
    torch.testing.assert_close(told, torch.tensor(expected), atol=2e-5, rtol=0)


def test_greedy_writes_the_published_names(model: Transformer) -> None:
    names = [own[0][0] for own in found(model, [ATZMON[0], ACHISON[0]], 1)]
    assert names == ["atzmon", "achison"]


def test_a_beam_finds_the_published_names_and_scores(model: Transformer) -> None:
    own = found(model, [ACHISON[0], ATZMON[0]], 4)[1]
    assert [name for name, _ in own] == ["atzmon", "atzumon", "atzmun", "atzemon"]
    scores = torch.tensor([score for _, score in own])
    expected = torch.tensor([-0.1517, -0.2660, -0.3351, -0.3661])
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=0)
