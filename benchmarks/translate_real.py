"""How fast are real sentences translated, text to text, here and by others, and how well?

    python -m benchmarks.translate_real

The built-in translator on the first 500 rows of two validation sets: everyday sentences and
software documentation. Every contestant is handed texts and gives texts, tokenization included, and
runs in processes of its own, in turn, in rounds; ends are where the model puts them. The peers get
the float32 twin of the same weights, and quantize it themselves.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.datasets import SHARED
from benchmarks.peers_translate import BATCH_SIZE, ROOT
from benchmarks.runs import summary, write_result
from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.pretrained import load_pretrained, save_pretrained
from zhixing.data.readers import read_table
from zhixing.data.roles import PAIRS
from zhixing.metrics.bleu import text_scores
from zhixing.models.quantization import dequantize
from zhixing.tasks.sequence_to_sequence import text_format_of
from zhixing.tasks.translation.result import TranslateOptions
from zhixing.tasks.translation.translator import Translator

ROWS, LONGEST = 500, 256
SETS = {"everyday": "tatoeba_en-fr", "documentation": "techdocs_en-fr"}
WAYS = {"greedy": 1, "beam 4": 4}
CONTESTANTS = (
    "zhixing float32",
    "zhixing int8",
    "transformers float32",
    "ctranslate2 float32",
    "ctranslate2 int8",
    "ctranslate2 int8, a worker a thread",
)
Translate = Callable[[list[str], int], list[str]]


def ours(folder: Path, precision: str) -> Translate:
    """Translate here."""
    translator = Translator(load_pretrained(folder), precision=precision)

    def translate(texts: list[str], beams: int) -> list[str]:
        options = TranslateOptions(num_beams=beams, splits=False)
        return [one.text for one in translator.translate(texts, options)]

    return translate


def reference(folder: Path) -> Translate:
    """Translate with the reference library, in padded batches of sentences of like length."""
    from transformers import AutoModelForSeq2SeqLM, logging

    logging.set_verbosity_error()
    text_format = text_format_of(load_pretrained(folder))
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    padding = int(model.config.pad_token_id)

    @torch.inference_mode()
    def translate(texts: list[str], beams: int) -> list[str]:
        ids = [text_format.source.wrap(one).input_ids for one in text_format.source.ids(texts)]
        order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
        found = [""] * len(ids)
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            longest = max(len(ids[row]) for row in rows)
            padded = torch.full((len(rows), longest), padding)
            mask = torch.zeros_like(padded)
            for i, row in enumerate(rows):
                padded[i, : len(ids[row])] = torch.tensor(ids[row])
                mask[i, : len(ids[row])] = 1
            written = model.generate(
                input_ids=padded,
                attention_mask=mask,
                num_beams=beams,
                do_sample=False,
                max_new_tokens=LONGEST,
            )
            for row, target in zip(rows, written[:, 1:].tolist(), strict=True):
                found[row] = text_format.text(target)
        return found

    return translate


class Spelled:
    """What the converter asks of a tokenizer: every id is spelled by its number."""

    bos_token, eos_token, unk_token = "t0", "t2", "t3"
    special_tokens_map: dict[str, list[str]] = {}

    def __init__(self, size: int) -> None:
        self.size = size

    def get_vocab(self) -> dict[str, int]:
        """Give the id of every token."""
        return {f"t{i}": i for i in range(self.size)}

    def convert_ids_to_tokens(self, number: int) -> str:
        """Spell an id."""
        return f"t{number}"


def peer(folder: Path, work: Path, kind: str, workers: int) -> Translate:
    """Translate with CTranslate2, which itself sorts sentences into batches."""
    import ctranslate2
    from ctranslate2.converters import TransformersConverter

    loaded = load_pretrained(folder)
    text_format, size = text_format_of(loaded), loaded.config.vocab_size

    class Converter(TransformersConverter):
        def load_tokenizer(self, tokenizer_class: type, model_name_or_path: str, **_: Any) -> Any:
            return Spelled(size)

    converted = work / f"ctranslate2-{kind}"
    if not converted.exists():
        Converter(str(folder)).convert(str(converted), quantization=kind)
    threads = torch.get_num_threads()
    model = ctranslate2.Translator(
        str(converted),
        compute_type=kind,
        inter_threads=workers,
        intra_threads=max(1, threads // workers),
    )

    def translate(texts: list[str], beams: int) -> list[str]:
        ids = [text_format.source.wrap(one).input_ids for one in text_format.source.ids(texts)]
        results = model.translate_batch(
            [[f"t{i}" for i in one] for one in ids],
            max_batch_size=BATCH_SIZE,
            beam_size=beams,
            max_decoding_length=LONGEST,
            suppress_sequences=[[f"t{i}"] for i in text_format.settings.suppressed_ids],
        )
        return [text_format.text([int(t[1:]) for t in one.hypotheses[0]]) for one in results]

    return translate


def contestant(name: str, folder: Path, work: Path) -> Translate:
    """Load a contestant."""
    who, _, how = name.partition(" ")
    kind = how.partition(",")[0]
    if who == "zhixing":
        return ours(folder, kind)
    if who == "transformers":
        return reference(folder)
    return peer(folder, work, kind, torch.get_num_threads() if "worker" in how else 1)


def measure_one(name: str, folder: Path, work: Path) -> dict[str, Any]:
    """Measure a contestant in this process: seconds, and BLEU of what it wrote."""
    translate = contestant(name, folder, work)
    found: dict[str, Any] = {}
    for kind, place in SETS.items():
        table = read_table(SHARED / place / "validation.tsv", roles=PAIRS)
        texts, targets = table.texts[:ROWS], (table.targets or [])[:ROWS]
        for way, beams in WAYS.items():
            translate(texts[:32], beams)
            start = time.perf_counter()
            written = translate(texts, beams)
            seconds = time.perf_counter() - start
            bleu = text_scores(written, targets).bleu
            found[f"{kind}, {way}"] = {"seconds": seconds, "bleu": bleu}
    return found


def main(rounds: int) -> None:
    """Let all contestants run in turn, and keep seconds, spreads, ratios and BLEU."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as box:
        loaded = load_pretrained(locate("en-fr"))
        dequantize(loaded.model)
        save_pretrained(loaded, Path(box) / "model")
        for number in range(rounds):
            for name in CONTESTANTS:
                command = [sys.executable, "-m", "benchmarks.translate_real", "--one", name, box]
                told = subprocess.run(
                    command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
                )
                found[name].append(json.loads(told.stdout.splitlines()[-1]))
                print(number, name, found[name][-1], flush=True)
    seconds = {
        name: {way: summary([run[way]["seconds"] for run in runs]) for way in runs[0]}
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
    values = {
        "rows": ROWS,
        "seconds": seconds,
        "bleu": {
            name: {way: runs[0][way]["bleu"] for way in runs[0]} for name, runs in found.items()
        },
        "ratios": {
            f"{pair}, {way}": seconds[other][way]["median"] / seconds[one][way]["median"]
            for pair, (one, other) in pairs.items()
            for way in seconds[one]
        },
    }
    command = "python -m benchmarks.translate_real"
    print(write_result("translate-real", command, values, by_machine=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("NAME", "FOLDER"))
    options = parser.parse_args()
    if options.one:
        name, box = options.one[0], Path(options.one[1])
        print(json.dumps(measure_one(name, box / "model", box)))
    else:
        main(options.rounds)
