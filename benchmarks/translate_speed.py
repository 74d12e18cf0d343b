"""How many tokens a second are written by a model of Marian's size, here and by others?

    python -m benchmarks.translate_speed

64 sources of 20 tokens, targets of exactly 25, in batches of 32 and one at a time, greedily and
with four beams; drawn weights, ids in and ids out. Every contestant runs in processes of its own,
in turn, in rounds: within one process the threads of one take time from another. What loading and
decoding add to the memory of a process is measured in the first round.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel

from benchmarks.peers_translate import (
    ROOT,
    CTranslate2Decoder,
    Ids,
    ReferenceDecoder,
    convert,
    one_at_a_time,
    random_marian,
    random_sources,
)
from benchmarks.runs import write_result
from zhixing.checkpoints.pretrained import load_pretrained, save_pretrained
from zhixing.data.batch import Example, Window
from zhixing.generation.settings import read_settings
from zhixing.models.quantization import quantize
from zhixing.tasks.inference import inference_model
from zhixing.tasks.sequence_to_sequence import SequenceToSequenceTask, TextFormat, generate

VOCAB, READ, WRITTEN = 59514, 20, 25
WAYS = {"greedy": 1, "beam 4": 4}
CONTESTANTS = (
    "zhixing float32",
    "zhixing int8",
    "transformers float32",
    "ctranslate2 float32",
    "ctranslate2 int8",
    "ctranslate2 int8, a worker a thread",
)


class OwnDecoder:
    """Decode here.

    Args:
        folder: The model.
        precision: "float32" or "int8".
    """

    def __init__(self, folder: Path, *, precision: str) -> None:
        loaded = load_pretrained(folder)
        self.device = torch.device("cpu")
        self.model, self.products = inference_model(loaded.model, self.device, precision)
        settings = read_settings(loaded.values, loaded.generation)
        self.settings = settings.changed(
            max_new_tokens=WRITTEN, min_new_tokens=WRITTEN, forced_last_id=None
        )
        words = loaded.tokenizer
        self.task = SequenceToSequenceTask(TextFormat(words, words, settings), max_positions=512)

    def __call__(self, sources: Ids, *, beams: int = 1) -> list[list[int]]:
        """Give a target to every source; greedily with one beam."""
        examples = [
            Example((Window(numpy.asarray(ids, dtype=numpy.int32), None),), None, i, 0, 0)
            for i, ids in enumerate(sources)
        ]
        settings = self.settings.changed(num_beams=beams)
        found = generate(
            self.model, self.task, examples, settings, device=self.device, precision=self.products
        )
        return [list(own[0].ids) for own in found]


def our_folders(folder: Path, work: Path) -> None:
    """Give the model a tokenizer, as a folder has to have one, and an int8 twin."""
    words = Backend(WordLevel({"</s>": 0, "<unk>": 1, "<pad>": VOCAB - 1}, unk_token="<unk>"))
    words.add_special_tokens(["</s>", "<unk>", "<pad>"])
    words.save(str(folder / "tokenizer.json"))
    loaded = load_pretrained(folder)
    quantize(loaded.model)
    save_pretrained(loaded, work / "int8")


def decoder_named(name: str, folder: Path, work: Path) -> Any:
    """Load a contestant."""
    who, _, how = name.partition(" ")
    kind = how.partition(",")[0]
    if who == "zhixing":
        return OwnDecoder(work / "int8" if kind == "int8" else folder, precision=kind)
    if who == "transformers":
        return ReferenceDecoder(folder)
    workers = torch.get_num_threads() if "worker" in how else 1
    return CTranslate2Decoder(
        convert(folder, work, kind),
        compute_type=kind,
        threads=torch.get_num_threads(),
        workers=workers,
    )


def measure_one(name: str, folder: Path, work: Path) -> dict[str, Any]:
    """Measure a contestant in this process: rates, ids, and the memory it added."""
    sources = random_sources(64, vocab=VOCAB, lengths=(READ, READ))
    Path("/proc/self/clear_refs").write_text("5")
    before = _kilobytes("VmRSS")
    decode = decoder_named(name, folder, work)
    found: dict[str, Any] = {"ids": decode(sources, beams=1)}
    found["megabytes"] = (_kilobytes("VmHWM") - before) / 1024
    for way, beams in WAYS.items():
        decode(sources[:8], beams=beams)
        found[way] = _rate(partial(decode, sources, beams=beams), 3)
        single = partial(one_at_a_time, decode, sources[:8], beams=beams)
        found[f"{way}, one at a time"] = _rate(single, 2)
    return found


def _rate(run: Callable[[], list[list[int]]], repeats: int) -> float:
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        tokens = sum(map(len, run()))
        rates.append(tokens / (time.perf_counter() - start))
    return statistics.median(rates)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def main(rounds: int) -> None:
    """Let all contestants run in turn, and keep rates, spreads and ratios."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as box:
        folder = Path(box) / "marian"
        random_marian(folder)
        our_folders(folder, Path(box))
        for number in range(rounds):
            for name in CONTESTANTS:
                command = [sys.executable, "-m", "benchmarks.translate_speed", "--one", name, box]
                told = subprocess.run(
                    command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
                )
                found[name].append(json.loads(told.stdout.splitlines()[-1]))
                print(number, name, {k: v for k, v in found[name][-1].items() if k != "ids"})
    command = "python -m benchmarks.translate_speed"
    print(write_result("translate-speed", command, _kept(found), by_machine=True))


def _kept(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    ways = [f"{way}{more}" for way in WAYS for more in ("", ", one at a time")]
    rates = {
        name: {
            way: {
                "median": statistics.median(run[way] for run in runs),
                "lowest": min(run[way] for run in runs),
                "highest": max(run[way] for run in runs),
            }
            for way in ways
        }
        for name, runs in found.items()
    }
    pairs = {
        "float32 against transformers": ("zhixing float32", "transformers float32"),
        "int8 against CTranslate2 int8": ("zhixing int8", "ctranslate2 int8"),
        "int8 against CTranslate2 int8, a worker a thread": (
            "zhixing int8",
            "ctranslate2 int8, a worker a thread",
        ),
    }
    base = found["transformers float32"][0]["ids"]
    return {
        "tokens_per_second": rates,
        "ratios": {
            f"{pair}, {way}": rates[one][way]["median"] / rates[other][way]["median"]
            for pair, (one, other) in pairs.items()
            for way in ways
        },
        # The first round of a converted model holds the conversion.
        "megabytes": {name: min(run["megabytes"] for run in runs) for name, runs in found.items()},
        "same_ids": {
            name: sum(a == b for a, b in zip(runs[0]["ids"], base, strict=True)) / len(base)
            for name, runs in found.items()
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("NAME", "FOLDER"))
    options = parser.parse_args()
    if options.one:
        name, box = options.one[0], Path(options.one[1])
        print(json.dumps(measure_one(name, box / "marian", box)))
    else:
        main(options.rounds)
