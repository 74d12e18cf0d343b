"""How many tokens a second are classified here, and by others?

    python -m benchmarks.classify_speed

512 texts of 1 to 8 sentences with minilm and a head of two classes; tokenization included for all.
Then one short text at a time, 20 in a row. All in turn, in one process, in rounds; ratios of
medians.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.peers_classify import Peers
from benchmarks.runs import summary, write_result
from benchmarks.training_speed import sentences
from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.card import Card
from zhixing.checkpoints.pretrained import Pretrained, load_pretrained, save_pretrained
from zhixing.data.table import unlabelled_table
from zhixing.workflows.load import load

SHORT = "a moving , funny and finally transporting film"


# A peer's threads spin for a while after its work (OpenMP runtimes: 200 ms), in whose cores' time
# the next contestant would be measured.
REST = 0.4


def classifier_of_minilm() -> Pretrained:
    """Give minilm with a fresh head of two labels."""
    loaded = load_pretrained(locate("minilm"), head="classification", num_classes=2)
    return replace(loaded, card=Card("classify", ("0", "1")))


def measure(
    runs: dict[str, Callable[[list[str]], object]],
    texts: list[str],
    rounds: int,
    *,
    in_a_row: int = 1,
) -> dict[str, list[float]]:
    """Time every contestant in turn, in rounds, after a rest and a call that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(REST)
            run(texts[:64])
            for _ in range(in_a_row):
                start = time.perf_counter()
                run(texts)
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratios(medians: dict[str, float], latencies: dict[str, float]) -> dict[str, float]:
    """Give the ratios that are wanted, each of medians."""
    fast, small = medians["zhixing float32"], medians["zhixing int8"]
    return {
        "float32 against sorted batches": medians["transformers sorted"] / fast,
        "float32 against the pipeline": medians["transformers pipeline"] / fast,
        "bfloat16 against the pipeline": medians["transformers pipeline"]
        / medians["zhixing bfloat16"],
        "int8 against CTranslate2 int8": medians["ctranslate2 int8"] / small,
        "int8 against CTranslate2 int8, a worker a thread": medians[
            "ctranslate2 int8, a worker a thread"
        ]
        / small,
        "int8 against the pipeline": medians["transformers pipeline"] / small,
        "latency, float32 over reference": latencies["zhixing float32"]
        / latencies["transformers sorted"],
        "latency, int8 over CTranslate2 int8": latencies["zhixing int8"]
        / latencies["ctranslate2 int8"],
    }


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--latencies", type=int, default=10, help="rounds of 20")
    args = parser.parse_args()
    texts = [text for text, _ in sentences(512, most=8)]
    with tempfile.TemporaryDirectory() as box:
        folder = Path(box) / "model"
        save_pretrained(classifier_of_minilm(), folder)
        peers = Peers(folder, Path(box))
        ours = load(folder)
        half = load(folder, precision="bfloat16")
        small = load(folder, precision="int8")
        runs: dict[str, Callable[[list[str]], object]] = {
            **peers.contestants(),
            "zhixing float32": ours,
            "zhixing bfloat16": half,
            "zhixing int8": small,
        }
        tokens = sum(e.num_tokens for e in ours.task.encode(unlabelled_table(texts, None)))
        batch = measure(runs, texts, args.repeats)
        single = measure(runs, [SHORT], args.latencies, in_a_row=20)
    medians = {name: summary(values)["median"] for name, values in batch.items()}
    latencies = {name: summary(values)["median"] for name, values in single.items()}
    values = {
        "tokens": tokens,
        "tokens_per_second": {name: tokens / seconds for name, seconds in medians.items()},
        "seconds": {name: summary(values) for name, values in batch.items()},
        "latency": {name: summary(values) for name, values in single.items()},
        "ratios": ratios(medians, latencies),
    }
    command = f"python -m benchmarks.classify_speed --repeats {args.repeats}"
    print(write_result("classify-speed", command, values))
    print(values["tokens_per_second"], latencies, values["ratios"])


if __name__ == "__main__":
    main()
