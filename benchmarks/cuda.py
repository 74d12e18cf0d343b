"""The same numbers on a GPU as on the CPU, and decoding speed there beside transformers.

Needs no data and no network: the built-in translator, with floats instead of int8, and fresh
models.

    python -m benchmarks.cuda
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import zhixing as zx
from benchmarks.runs import write_result
from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.pretrained import load_pretrained, save_pretrained
from zhixing.generation.search import search
from zhixing.generation.settings import SearchSettings
from zhixing.layers.ragged import Ragged
from zhixing.models.config import ModelConfig
from zhixing.models.quantization import dequantize
from zhixing.models.transformer import build

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
WORDS = ("one", "dog", "sees", "two", "cats", "in", "the", "old", "house", "and", "wants", "books")
DECODER_ONLY = ModelConfig(
    vocab_size=500,
    hidden_size=128,
    encoder_layers=0,
    decoder_layers=4,
    num_heads=8,
    num_key_value_heads=2,
    feed_forward_size=256,
    positions="rotary",
    norm="pre",
    norm_kind="rms",
    activation="silu",
    is_gated=True,
    max_positions=256,
    embedding_norm=False,
    head="next_token",
    dropout=0.0,
    attention_dropout=0.0,
    initial_std=0.1,
)


def sentences(count: int) -> list[str]:
    """Make plain sentences of unequal length."""
    texts = []
    for i in range(count):
        words = [WORDS[(i * 7 + k * 3) % len(WORDS)] for k in range(3 + i % 14)]
        texts.append(" ".join(words).capitalize() + ".")
    return texts


def prompts() -> Ragged:
    """Make prompts of unequal length."""
    generator = torch.Generator().manual_seed(0)
    return Ragged.of(
        torch.randint(1, 500, (length,), generator=generator) for length in (3, 40, 17, 1, 90)
    )


@torch.inference_mode()
def decoder_alone() -> dict[str, Any]:
    """Hold a decoder-only model with grouped-query attention on the GPU against the CPU."""
    model = build(DECODER_ONLY, seed=1).double()
    texts = prompts()
    plain = model.decoder_states(None, texts)
    moved = model.to(CUDA)
    there = moved.decoder_states(None, texts.to(CUDA))
    states, _ = moved.start(None, texts.to(CUDA))
    ends = torch.tensor(texts.lengths).cumsum(0) - 1
    settings = SearchSettings(start_id=1, end_ids=(0,), max_new_tokens=24, num_beams=3)
    written = [
        search(
            each,
            None,
            settings,
            sequences=len(texts.lengths),
            prompts=[part.tolist() for part in texts.values.split(list(texts.lengths))],
            device=device,
        )
        for each, device in ((moved, CUDA), (build(DECODER_ONLY, seed=1).double(), CPU))
    ]
    same = [a[0].ids == b[0].ids for a, b in zip(*written, strict=True)]
    return {
        "largest difference, float64": float((there.cpu() - plain).abs().max()),
        "prefill against plain": float((states.cpu() - plain[ends]).abs().max()),
        "beam results alike": f"{sum(same)} of {len(same)}",
    }


def floats_of_en_fr(folder: Path) -> None:
    """Save the built-in translator with floats in place of int8, as an M2M-100 folder."""
    loaded = load_pretrained(locate("en-fr"))
    dequantize(loaded.model)
    save_pretrained(replace(loaded, model_type="m2m_100", values={}), folder)


def median_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Time something, after a warm-up."""
    work()
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def translation(folder: Path) -> dict[str, Any]:
    """Translate on both devices, and beside transformers on the GPU."""
    texts = sentences(256)
    options = zx.TranslateOptions(num_beams=4, splits=False)
    on_cpu = [result.text for result in zx.load(folder)(texts, options=options)]
    found: dict[str, Any] = {}
    for precision in ("float32", "bfloat16", "float16"):
        model = zx.load(folder, device="cuda", precision=precision)
        there = [result.text for result in model(texts, options=options)]
        found[precision] = {
            "same texts as float32 on the CPU": sum(map(str.__eq__, on_cpu, there)) / len(texts),
            "seconds": median_seconds(lambda model=model: model(texts, options=options)),  # type: ignore[misc]
        }
    found["transformers float32"] = {"seconds": reference_seconds(folder, texts)}
    ours, theirs = (found[name]["seconds"] for name in ("float32", "transformers float32"))
    found["times faster"] = theirs / ours
    return found


def reference_seconds(folder: Path, texts: list[str]) -> float:
    """Time transformers' generate with the same beams, sorted by length, in batches of 64."""
    import transformers

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).to(CUDA).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>", eos_token="</s>"
    )
    order = sorted(texts, key=len)

    @torch.inference_mode()
    def run() -> None:
        for i in range(0, len(order), 64):
            inputs = tokenizer(order[i : i + 64], return_tensors="pt", padding=True).to(CUDA)
            inputs.pop("token_type_ids", None)
            model.generate(**inputs, num_beams=4, max_new_tokens=64)

    return median_seconds(run)


def trainings(box: Path) -> dict[str, Any]:
    """Train a classifier and a translator on the GPU, and say what they came to."""
    labels = ["a" if "dog" in text else "b" for text in sentences(400)]
    reader = zx.train(
        "classify",
        data={"text": sentences(400), "label": labels},
        out=box / "reader",
        model="new",
        device="cuda",
        epochs=4,
        learning_rate=2e-3,
        **{"new.hidden_size": 64, "new.encoder_layers": 2, "new.num_heads": 4},
    )
    writer = zx.train(
        "translate",
        data={"source": sentences(600), "target": [text.upper() for text in sentences(600)]},
        out=box / "writer",
        model="new",
        device="cuda",
        epochs=10,
        lora_rank=0,
        **{"new.hidden_size": 64, "new.num_heads": 4, "new.vocab_size": 120},
    )
    return {
        "classify: accuracy": reader.report.scores["accuracy"].value,
        "translate: BLEU": writer.report.scores["bleu"].value,
        "translate: tokens/s": writer.tokens / writer.seconds,
    }


def main() -> None:
    """Run all checks and write the result."""
    if not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here")
    with tempfile.TemporaryDirectory() as box:
        floats_of_en_fr(Path(box) / "en-fr")
        result = {
            "device": torch.cuda.get_device_name(),
            "decoder alone": decoder_alone(),
            "en-fr, 256 sentences, beam 4": translation(Path(box) / "en-fr"),
            "training": trainings(Path(box)),
        }
    print(result)
    write_result("cuda", "python -m benchmarks.cuda", result)


if __name__ == "__main__":
    main()
