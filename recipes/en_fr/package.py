"""Make the built-in translator en-fr out of a training: int8, scored by domain, with its card.

    python recipes/en_fr/package.py RUN DATA OUT

RUN is the folder of `zhixing train translate`, finished or still under way, whose best weights so
far are then taken; DATA holds `tatoeba_en-fr/` and `techdocs_en-fr/`; OUT is the model's folder.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from zhixing.checkpoints.files import read_tensors
from zhixing.checkpoints.pretrained import Pretrained, load_pretrained, save_pretrained
from zhixing.data.readers import read_table
from zhixing.data.roles import PAIRS
from zhixing.jobs.registry import learn_of, use_of
from zhixing.models.quantization import quantize
from zhixing.training.run_plan import RunPlan, read_plan
from zhixing.workflows.train import BEST_WEIGHTS

DOMAINS = {"everyday sentences": "tatoeba_en-fr", "software documentation": "techdocs_en-fr"}


def best_of(run: Path) -> tuple[Pretrained, RunPlan, dict[str, Any]]:
    """Load the best weights of a training, and say after how much of it they stood."""
    plan = read_plan(run)
    with (run / "metrics.jsonl").open(encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    best = [e for e in events if e["event"] == "evaluation" and e["is_best"]][-1]
    if (run / "config.json").exists():
        return load_pretrained(run), plan, best
    learner = learn_of(plan.task)
    tables = learner.read(plan.data, plan.validation, plan.recipe.data)
    prepared = learner.prepare(plan, tables)
    model = prepared.pretrained.model
    missing, unknown = model.load_state_dict(read_tensors(run / BEST_WEIGHTS), strict=False)
    tied = {name for name, _ in model.named_parameters(remove_duplicate=False)} - {
        name for name, _ in model.named_parameters()
    }
    if unknown or set(missing) - tied:
        sys.exit(f"{run / BEST_WEIGHTS} does not hold the weights of the model that {run} trains")
    return prepared.pretrained, plan, best


def opened(pretrained: Pretrained) -> Any:
    """Open a model as it is used and scored."""
    return use_of("translate").open(pretrained, device="cpu", precision="float32")


def main(run: Path, data: Path, out: Path) -> None:
    """Write the folder, its card for programs and its card for people."""
    before, plan, best = best_of(run)
    after = best_of(run)[0]
    quantize(after.model)
    first, second = opened(before), opened(after)
    tables = {
        name: read_table(data / folder / "validation.tsv", roles=PAIRS)
        for name, folder in DOMAINS.items()
    }
    moved = {name: first.agreement(second, table) for name, table in tables.items()}
    reports = {name: second.score(table) for name, table in tables.items()}
    recipe = plan.recipe.to_dict()
    card = replace(
        after.card,
        task="translate",
        training={
            "recipe": recipe,
            "hashes": plan.hashes,
            "step": best["step"],
            "epoch": best["epoch"],
            "version": __version__,
        },
        scores={name: report.kept() for name, report in reports.items()},
        quantization={name: report.to_dict() for name, report in moved.items()},
    )
    save_pretrained(replace(after, card=card), out, overwrite=True)
    size = (out / "model.safetensors").stat().st_size
    rows = "\n".join(
        f"| {name} | {report.rows:,} | {report.scores['bleu'].value:.1f} "
        f"({report.scores['bleu'].interval.low:.1f} to {report.scores['bleu'].interval.high:.1f}) "
        f"| {report.scores['chrf'].value:.1f} | {moved[name].bleu_before:.2f} |"
        for name, report in reports.items()
    )
    values = {
        "epoch": f"{best['epoch']:.0f}",
        "epochs": f"{plan.recipe.training.epochs:.0f}",
        "size": f"{size / 2**20:.1f}",
        "rows": rows,
        "signature": next(iter(reports.values())).bleu_signature,
    }
    text = (Path(__file__).parent / "card.md").read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    (out / "CARD.md").write_text(text, encoding="utf-8")
    print(rows)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
