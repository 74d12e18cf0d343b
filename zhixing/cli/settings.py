"""How the settings of a training are listed: in a terminal, in docs/settings.md, for completion."""

import typer

from zhixing.cli.printing import console
from zhixing.config import Setting
from zhixing.jobs.registry import JOBS, learn_of


def obeyed_settings(task: str, model: str) -> list[Setting]:
    """List the settings that a task obeys when it trains a model, with its defaults."""
    learner = learn_of(task)
    listed = learner.recipe(model).settings()
    return [each for each in listed if learner.obeys(each.name, model)]


def print_settings(task: str, model: str) -> None:
    """Print every setting that a task obeys: name, default, unit, what it does."""
    settings = obeyed_settings(task, model)
    width = max(len(f"{each.name}={each.value}") for each in settings)
    for each in settings:
        console.print(f"{f'{each.name}={each.value}':<{width}}  ", style="bold", end="")
        console.print(" ".join(part for part in (each.text, told(each)) if part))


def complete_task(incomplete: str) -> list[str]:
    """Offer the names of tasks to a shell."""
    return [task for task in JOBS if task.startswith(incomplete)]


def complete_setting(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the settings that the task typed before obeys, as `key=`."""
    task, model = ctx.params.get("task"), ctx.params.get("model") or "minilm"
    if task not in JOBS:
        return []
    names = (each.name for each in obeyed_settings(task, model))
    return [f"{name}=" for name in names if name.startswith(incomplete)]


def told(setting: Setting) -> str:
    """Say a setting's unit and what is allowed, in brackets."""
    parts = [part for part in (setting.unit, setting.allowed) if part]
    return f"[{'; '.join(parts)}]" if parts else ""


def settings_page(tasks: dict[str, list[str]]) -> str:
    """Give docs/settings.md: for each task and kind of model, every setting it obeys.

    Args:
        tasks: Models, or kinds of them, by task.
    """
    lines = [
        "# Settings of a training",
        "",
        "Every setting has a name, typed as `key=value`, in a TOML file (`--recipe`) or as keyword",
        "arguments of `zx.train`. This page is made by `python -m benchmarks.readme` from what",
        "`zhixing train TASK --model MODEL --settings` prints.",
    ]
    for task, models in tasks.items():
        for model in models:
            lines += ["", f"## {task}, --model {model}", ""]
            lines += [
                "| setting | default | unit | allowed | what it does |",
                "|---|---|---|---|---|",
            ]
            for each in obeyed_settings(task, model):
                row = (f"`{each.name}`", f"`{each.value}`", each.unit, each.allowed, each.text)
                lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"
