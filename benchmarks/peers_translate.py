"""Other ways to decode with the same Marian model, each a function of source ids to target ids.

    python -m benchmarks.peers_translate           # do the peers agree, and how fast are they?

The model has the size and shape of a usual Marian translator and weights drawn from a seed, so it
needs neither a download nor a tokenizer: sources are ids that end with that of the sentence's end,
targets are ids too. Every target is cut, and kept from ending, at the same length; so all peers do
the same work, whatever the weights say.
"""

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ctranslate2
import torch
from ctranslate2.converters import TransformersConverter
from transformers import MarianConfig, MarianMTModel, logging

Ids = Sequence[Sequence[int]]
Run = Callable[[], list[list[int]]]

ROOT = Path(__file__).parent.parent
END, UNKNOWN = 0, 1
TARGET_TOKENS = 25
BATCH_SIZE = 32

# A peer's threads spin for a while after its work, in whose cores' time the next one would be
# measured.
REST = 0.4


def random_marian(
    folder: Path,
    *,
    hidden: int = 512,
    layers: int = 6,
    feed_forward: int = 2048,
    heads: int = 8,
    vocab: int = 59514,
    seed: int = 0,
) -> None:
    """Save a Marian model with drawn weights, in the reference library's format.

    As in published models the last id is that of padding, with which targets also start; its
    embedding is zero, and it is never generated.

    Args:
        folder: Where to; it is made.
        hidden: Width of the model.
        layers: In the encoder, and as many in the decoder.
        feed_forward: Width inside a feed-forward block.
        heads: Of every attention.
        vocab: Ids, with the end, the unknown word and padding among them.
        seed: Of the weights.
    """
    padding = vocab - 1
    config = MarianConfig(
        vocab_size=vocab,
        d_model=hidden,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_ffn_dim=feed_forward,
        decoder_ffn_dim=feed_forward,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        max_position_embeddings=512,
        activation_function="swish",
        scale_embedding=True,
        share_encoder_decoder_embeddings=True,
        tie_word_embeddings=True,
        decoder_start_token_id=padding,
        pad_token_id=padding,
        eos_token_id=END,
        forced_eos_token_id=None,
    )
    model = MarianMTModel(config)
    _draw_weights(model, seed)
    model.generation_config.bad_words_ids = [[padding]]
    model.save_pretrained(folder)


@torch.no_grad()
def _draw_weights(model: MarianMTModel, seed: int) -> None:
    """Draw weights at which a layer adds about as much as it is given.

    With the usual deviation of 0.02 attention would be almost even, and all sources would have the
    same target.
    """
    draw = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if "embed_positions" in name:
            continue
        if weight.dim() == 2:
            weight.normal_(std=weight.shape[1] ** -0.5, generator=draw)
        else:
            weight.normal_(std=0.02, generator=draw)
            if "layer_norm.weight" in name:
                weight.add_(1)
    model.model.shared.weight[model.config.pad_token_id] = 0
    model.final_logits_bias.normal_(std=0.1, generator=draw)


def random_sources(count: int, *, vocab: int, lengths: tuple[int, int], seed: int = 0) -> Ids:
    """Draw sentences of some tokens each, the end counted."""
    draw = random.Random(seed)
    sizes = [draw.randint(*lengths) for _ in range(count)]
    return [[*(draw.randrange(2, vocab - 1) for _ in range(n - 1)), END] for n in sizes]


class ReferenceDecoder:
    """Decode with the reference library, in padded batches of sentences of like length.

    Args:
        folder: The model.
        length: Tokens of every target.
        batch_size: Sentences in a batch.
    """

    def __init__(
        self, folder: Path, *, length: int = TARGET_TOKENS, batch_size: int = BATCH_SIZE
    ) -> None:
        self.model = MarianMTModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.length = length
        self.batch_size = batch_size

    @torch.inference_mode()
    def __call__(self, sources: Ids, *, beams: int = 1) -> list[list[int]]:
        """Give a target to every source; greedily with one beam."""
        order = sorted(range(len(sources)), key=lambda row: len(sources[row]))
        targets: list[list[int]] = [[] for _ in sources]
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            ids, mask = self._padded([sources[row] for row in rows])
            found = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                num_beams=beams,
                do_sample=False,
                min_new_tokens=self.length,
                max_new_tokens=self.length,
            )
            # The first id is that which targets start with.
            for row, target in zip(rows, found[:, 1:].tolist(), strict=True):
                targets[row] = target
        return targets

    def _padded(self, sources: Ids) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(len(source) for source in sources)
        ids = torch.full((len(sources), longest), self.model.config.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, source in enumerate(sources):
            ids[row, : len(source)] = torch.tensor(source)
            mask[row, : len(source)] = 1
        return ids, mask


class MadeUpTokens:
    """What the converter asks of a Marian tokenizer, for a model that has none.

    The last id is named as the converter expects padding to be: so it takes it out of the
    vocabulary, and its row out of the weights.
    """

    eos_token = f"t{END}"
    unk_token = f"t{UNKNOWN}"

    def __init__(self, vocab: int) -> None:
        self.vocab = vocab

    def get_vocab(self) -> dict[str, int]:
        """Give the id of every token."""
        return {f"t{i}": i for i in range(self.vocab - 1)} | {"<pad>": self.vocab - 1}


class IdsConverter(TransformersConverter):
    """The converter as it is, but for the tokenizer."""

    def load_tokenizer(self, tokenizer_class: type, model_name_or_path: str, **_: Any) -> Any:
        """Make tokens up for the ids of a model."""
        return MadeUpTokens(MarianConfig.from_pretrained(model_name_or_path).vocab_size)


def convert(folder: Path, work: Path, compute_type: str) -> Path:
    """Convert a model for CTranslate2, unless that was done before.

    Args:
        folder: The model.
        work: An existing folder for the converted one.
        compute_type: What the weights are stored as.
    """
    converted = work / f"ctranslate2-{compute_type}"
    if not converted.exists():
        IdsConverter(str(folder)).convert(str(converted), quantization=compute_type)
    return converted


class CTranslate2Decoder:
    """Decode with CTranslate2, which itself sorts sentences into batches.

    Args:
        converted: The model, as `convert` made it.
        compute_type: "int8" or "float32".
        threads: In all.
        workers: Batches computed at once, each by `threads / workers` threads.
        length: Tokens of every target.
        batch_size: Sentences in a batch.
    """

    def __init__(
        self,
        converted: Path,
        *,
        compute_type: str,
        threads: int = 2,
        workers: int = 1,
        length: int = TARGET_TOKENS,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.translator = ctranslate2.Translator(
            str(converted),
            compute_type=compute_type,
            inter_threads=workers,
            intra_threads=max(1, threads // workers),
        )
        self.length = length
        self.batch_size = batch_size

    def __call__(self, sources: Ids, *, beams: int = 1) -> list[list[int]]:
        """Give a target to every source; greedily with one beam."""
        results = self.translator.translate_batch(
            [[f"t{i}" for i in source] for source in sources],
            max_batch_size=self.batch_size,
            beam_size=beams,
            min_decoding_length=self.length,
            max_decoding_length=self.length,
        )
        return [[int(token[1:]) for token in result.hypotheses[0]] for result in results]


Decoder = ReferenceDecoder | CTranslate2Decoder


class Peers:
    """All peers on one model, under the names that the benchmarks print.

    Args:
        folder: The model.
        work: An existing folder for what is converted.
        threads: For every peer; without it, as many as torch uses.
    """

    def __init__(self, folder: Path, work: Path, *, threads: int | None = None) -> None:
        self.folder = folder
        self.work = work
        self.threads = threads or torch.get_num_threads()

    def contestants(self) -> dict[str, Decoder]:
        """Load every peer."""
        return {
            "transformers float32": ReferenceDecoder(self.folder),
            "ctranslate2 float32": self.ctranslate2("float32"),
            "ctranslate2 float32, a worker a thread": self.ctranslate2("float32", self.threads),
            "ctranslate2 int8": self.ctranslate2("int8"),
            "ctranslate2 int8, a worker a thread": self.ctranslate2("int8", self.threads),
        }

    def ctranslate2(self, compute_type: str, workers: int = 1) -> CTranslate2Decoder:
        """Load CTranslate2 in one way."""
        return CTranslate2Decoder(
            convert(self.folder, self.work, compute_type),
            compute_type=compute_type,
            threads=self.threads,
            workers=workers,
        )


def tokens_per_second(runs: dict[str, Run], repeats: int) -> dict[str, float]:
    """Give the median rate of every run: in turn, in rounds, the first of which is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            time.sleep(REST)
            start = time.perf_counter()
            tokens = sum(len(target) for target in run())
            rates[name].append(tokens / (time.perf_counter() - start))
    return {name: statistics.median(values[1:]) for name, values in rates.items()}


def one_at_a_time(
    decode: Callable[..., list[list[int]]], sources: Ids, *, beams: int
) -> list[list[int]]:
    """Give a target to every source, each in a call of its own."""
    return [decode([source], beams=beams)[0] for source in sources]


def all_runs(peers: dict[str, Decoder], sources: Ids) -> Iterator[tuple[str, Run]]:
    """Give what is measured: batches of every peer, then one sentence at a time of one."""
    for beams, how in ((1, "greedy"), (4, "beam 4")):
        for name, decode in peers.items():
            yield f"{name}, {how}", partial(decode, sources, beams=beams)
        name = "ctranslate2 int8"
        single = partial(one_at_a_time, peers[name], sources[:16], beams=beams)
        yield f"{name}, {how}, one at a time", single


def memory_growth(converted: Path, *, vocab: int, beams: int) -> float:
    """Give the megabytes that CTranslate2 adds to a fresh process at most: loading and decoding.

    Linux only: the peak is set back after the imports, whose own must not count.
    """
    script = f"""
from pathlib import Path
from benchmarks.peers_translate import CTranslate2Decoder, random_sources
def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
sources = random_sources(64, vocab={vocab}, lengths=(20, 20))
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
CTranslate2Decoder(Path({str(converted)!r}), compute_type="int8")(sources, beams={beams})
print(kilobytes("VmHWM") - before)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def compare(peers: dict[str, Decoder], sources: Ids) -> None:
    """Print how many targets, and how many of their tokens up to a first difference, are alike."""
    for beams in (1, 4):
        expected = peers["transformers float32"](sources, beams=beams)
        kinds = len({token for target in expected for token in target})
        different = len({tuple(target) for target in expected})
        print(f"beams {beams}: {different} different targets with {kinds} different tokens")
        for name, decode in peers.items():
            pairs = list(zip(decode(sources, beams=beams), expected, strict=True))
            same = sum(found == target for found, target in pairs)
            alike = sum(_alike(found, target) for found, target in pairs)
            share = alike / sum(len(target) for target in expected)
            print(f"  {name}: {same} of {len(sources)} targets, {share:.1%} of tokens")


def _alike(found: Sequence[int], expected: Sequence[int]) -> int:
    """Count tokens before the first difference."""
    if len(found) != len(expected):
        return 0
    pairs = enumerate(zip(found, expected, strict=True))
    return next((at for at, (a, b) in pairs if a != b), len(expected))


def main() -> None:
    """Read the command line, compare and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    vocab = 59514
    with TemporaryDirectory() as box:
        work = Path(box)
        random_marian(work / "model", vocab=vocab)
        peers = Peers(work / "model", work).contestants()
        compare(peers, random_sources(64, vocab=vocab, lengths=(5, 20), seed=1))
        sources = random_sources(64, vocab=vocab, lengths=(20, 20))
        rates = tokens_per_second(dict(all_runs(peers, sources)), args.repeats)
        for name, rate in rates.items():
            print(f"{name}: {rate:,.0f} tokens/s")
        for beams in (1, 4):
            grown = memory_growth(convert(work / "model", work, "int8"), vocab=vocab, beams=beams)
            print(f"ctranslate2 int8, beams {beams}: {grown:.0f} MB more at most")


if __name__ == "__main__":
    main()
