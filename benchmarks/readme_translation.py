"""The lines of the table of measurements that speak of translation."""

import json
from pathlib import Path
from typing import Any

from benchmarks.runs import MACHINE_KINDS, read

ROOT = Path(__file__).parent.parent
# What a command measured: its line in the table is what, ours, beside it, wanted, command, machine.
Line = list[str]
# Who is held against whom when decoding: ours, the name of the ratio, the peer, what is wanted.
RIVALS = (
    ("zhixing float32", "float32 against transformers", "transformers float32", "1.5 times"),
    ("zhixing int8", "int8 against CTranslate2 int8", "ctranslate2 int8", "1.75 times"),
)


def made_by(found: dict[str, Any]) -> Line:
    """Give the end of a line: the command, and the kind of machine that it ran on."""
    machine = found["machine"]
    processor = machine["processor"].replace("(R)", "").removesuffix(" Processor")
    tiles = " with AMX" if machine["amx"] else ""
    threads = machine["threads"]
    on = f"{processor}{tiles}, {threads} {'thread' if threads == 1 else 'threads'}"
    return [found["command"], on]


def translation_lines() -> list[Line]:
    """Show what a tiny model learns from captions."""
    found = read("multi30k")
    if found is None:
        return []
    report, minutes = found["report"], found["minutes"]
    chrf = report["scores"]["chrf"]["value"]
    return [
        [
            f"Multi30k en-fr from nothing, {found['threads']} thread, validation: tokenized "
            f"lower-cased BLEU, beam 4, sentence by sentence",
            f"{report['lower_cased_bleu']:.1f} in {minutes:.0f} min of training",
            f"sacreBLEU {report['scores']['bleu']['value']:.1f}, chrF {chrf:.1f}",
            "52 in 90 min of two cores",
            *made_by(found),
        ]
    ]


def by_machine(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Read a result of every kind of processor, each with what its lines add to their titles."""
    words = {"": "", "-amx": " (AMX)"}
    found = ((words[kind], read(f"{name}{kind}")) for kind in MACHINE_KINDS.values())
    return [(word, one) for word, one in found if one is not None]


def learning_lines() -> list[Line]:
    """Compare how fast a translator learns."""
    lines = []
    for word, found in by_machine("translation-training"):
        rates = {name: rate["median"] for name, rate in found["tokens_per_second"].items()}
        peers = {name: rate for name, rate in rates.items() if "zhixing" not in name}
        best = max(peers, key=lambda name, peers=peers: peers[name])
        others = "; ".join(f"{name} {rate:,.0f}" for name, rate in peers.items() if name != best)
        title = f"learning Multi30k, tiny model, {found['threads']} threads, tokens/s{word}"
        own = f"{rates['zhixing float32']:,.0f} in float32"
        if "zhixing" in rates:
            own = f"{rates['zhixing']:,.0f} ({own})"
        other = f"{best} {peers[best]:,.0f} ({found['ratio']:.2f} times); {others}"
        lines.append([title, own, other, "1.3 times", *made_by(found)])
    return lines


def built_in_lines() -> list[Line]:
    """Show what the card of the built-in translator says."""
    path = ROOT / "zhixing" / "resources" / "en-fr" / "zhixing.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    wanted = {"everyday sentences": "33", "software documentation": "24"}
    lines = []
    for name, scores in card["scores"].items():
        bleu, moved = scores["bleu"], card["quantization"][name]
        lines.append(
            [
                f"built-in en-fr, {name}, sacreBLEU, beam 4, sentence by sentence",
                f"{bleu['value']:.1f} ({bleu['low']:.1f} to {bleu['high']:.1f})",
                f"in float32 {moved['bleu_before']:.1f}",
                f"{wanted[name]}; int8 costs at most 0.2",
                "python recipes/en_fr/package.py",
                "any",
            ]
        )
    return lines


def decoding_lines() -> list[Line]:
    """Compare decoding speeds and what they need of memory."""
    lines = []
    for word, found in by_machine("translate-speed"):
        lines += decoding_lines_of(found, word)
    for word, found in by_machine("translate-real"):
        lines += real_lines_of(found, word)
    return lines


def decoding_lines_of(found: dict[str, Any], word: str) -> list[Line]:
    """Compare decoding on one machine."""
    rates, ratios, made = found["tokens_per_second"], found["ratios"], made_by(found)
    lines = []
    for own, pair, peer, wanted in RIVALS:
        for way in ("greedy", "beam 4", "greedy, one at a time", "beam 4, one at a time"):
            is_single = "one at a time" in way
            other = (
                f"{peer} {rates[peer][way]['median']:,.0f} ({ratios[f'{pair}, {way}']:.2f} times)"
            )
            if own == "zhixing int8":
                workers = f"{pair}, a worker a thread, {way}"
                other += f"; with a worker a thread {ratios[workers]:.2f} times"
                wanted = "1.3 times" if is_single else "1.75 times"
            elif is_single:
                continue
            title = f"decoding, Marian's size, {own.split()[1]}, {way}, target tokens/s{word}"
            lines.append([title, f"{rates[own][way]['median']:,.0f}", other, wanted, *made])
    own, peer = (found["megabytes"][name] for name in ("zhixing int8", "ctranslate2 int8"))
    other = f"ctranslate2 int8 {peer:.0f} ({own / peer:.1f} times)"
    title = f"loading and decoding that model in int8, MB more{word}"
    return [*lines, [title, f"{own:.0f}", other, "1.1 times", *made]]


def real_lines_of(found: dict[str, Any], word: str) -> list[Line]:
    """Compare how fast and how well real sentences are translated on one machine."""
    seconds, bleu, ratios = found["seconds"], found["bleu"], found["ratios"]
    lines = []
    for own, pair, peer, wanted in RIVALS:
        for way, taken in seconds[own].items():
            other = (
                f"{peer} {seconds[peer][way]['median']:.2f} s, {bleu[peer][way]:.1f} "
                f"({ratios[f'{pair}, {way}']:.2f} times)"
            )
            if own == "zhixing int8":
                workers = ratios[f"{pair}, a worker a thread, {way}"]
                other += f"; with a worker a thread {workers:.2f} times"
            title = f"en-fr, {found['rows']} texts, {way}, whole rows, {own.split()[1]}: "
            title += f"seconds, BLEU{word}"
            value = f"{taken['median']:.2f} s, {bleu[own][way]:.1f}"
            lines.append([title, value, other, wanted, *made_by(found)])
    return lines
