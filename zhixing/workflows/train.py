"""Train from start to end: plan, rehearse, learn, keep the best, calibrate, report."""

import os
import shlex
import shutil
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars
import torch

from zhixing.checkpoints.files import check_free_to_write, read_tensors, whole_folder, write_tensors
from zhixing.data.aligned import absolute_name, aligned_paths
from zhixing.data.table import Table
from zhixing.errors import CheckpointError, ConfigError
from zhixing.jobs.learn import Prepared, Tables
from zhixing.jobs.registry import learn_of
from zhixing.models.adapters import merge_adapters
from zhixing.tasks.inference import resolved, usable_device, use_threads
from zhixing.training.distributed import Ranks, joined_ranks
from zhixing.training.events import Ended, Event
from zhixing.training.loop import Run
from zhixing.training.loop import train as training_steps
from zhixing.training.run_plan import RunPlan, check_hashes, read_plan, write_plan
from zhixing.training.snapshot import Snapshot, Snapshots, differences
from zhixing.workflows.finishing import WRITING_PREFIX, Finished, finish
from zhixing.workflows.journal import Journal
from zhixing.workflows.rehearsal import rehearse

Watch = Callable[[Event | str], None]
BEST_WEIGHTS = "best.safetensors"
SNAPSHOTS = "snapshots"


def train(
    task: str,
    *,
    data: object,
    out: str | Path,
    model: str = "minilm",
    validation: object = None,
    device: str = "cpu",
    threads: int = 0,
    overwrite: bool = False,
    watch: Watch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Finished | None:
    """Train a model on rows with targets and leave a model folder, its record and a report.

    This is the one function that takes open keyword arguments: an unknown one is refused with the
    nearest known name.

    Args:
        task: Such as "classify" or "translate"; see `jobs.registry`.
        data: Rows: a path, a pattern, "-", a list, a dict of columns, a frame.
        out: The run's folder, which becomes the model's.
        model: A model folder, a built-in name, or "new" to learn from nothing.
        validation: Rows to score on; a part is split off if none are given.
        device: cpu, cuda, cuda:N or mps.
        threads: For computing; 0 leaves what torch chose.
        overwrite: Replace what is in `out`.
        watch: Is told every event, and sentences that a person should read.
        should_stop: Is asked after every step.
        settings: Of the recipe, such as `epochs=3`, `label="stars"`, `new={"hidden_size": 128}`;
            `zhixing train TASK --settings` lists them.

    Returns:
        What it came to; None where `should_stop` ended it (`resume` goes on) and, under torchrun,
        on every rank but the first.

    Raises:
        ZhixingError: With one sentence, before anything has been written, or with the last good
            snapshot named.

    Example:
        `train("classify", data="reviews.csv", out="runs/reviews", epochs=3)`
    """
    learner = learn_of(task)
    use_threads(threads)
    folder = Path(out).absolute()
    check_free_to_write(folder, overwrite=overwrite)
    _check_inputs(folder, {"data": data, "validation": validation, "model": model})
    plan = RunPlan(
        task,
        data=_kept_in_run(data, "data"),
        validation=None if validation is None else _kept_in_run(validation, "validation"),
        model=model,
        recipe=learner.recipe_with(model, settings),
        device=device,
        threads=threads or torch.get_num_threads(),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )
    tables = learner.read(data, validation, plan.recipe.data)
    return run_plan(plan, tables, folder, overwrite=overwrite, watch=watch, should_stop=should_stop)


def run_plan(
    plan: RunPlan,
    tables: Tables,
    folder: Path,
    *,
    overwrite: bool = False,
    watch: Watch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Finished | None:
    """Train as a plan says, on rows that were read; see `train`."""
    with joined_ranks() as ranks:
        prepared = learn_of(plan.task).prepare(plan, tables)
        plan = replace(plan, hashes=prepared.hashes)
        run = _make_run(folder, plan, prepared, ranks, should_stop)
        # What stands in the folder is replaced only by a run that is known to work.
        rehearse(run, folder, evaluate=_longest_scored(run, prepared))
        if ranks.is_first:
            _start_folder(folder, plan, tables, overwrite=overwrite)
        ranks.wait()
        return _run(folder, plan, prepared, run, watch or _silent, None)


def resume(
    out: str | Path,
    *,
    watch: Watch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Finished | None:
    """Go on where a run stopped, to the same weights that an unbroken run would have had.

    Raises:
        CheckpointError: If the folder holds no run.
        DataError: If the rows have changed since.
    """
    watch = watch or _silent
    folder = Path(out).absolute()
    plan = read_plan(folder)
    use_threads(plan.threads)
    snapshot, faults = Snapshots(folder / SNAPSHOTS, keep=1).newest()
    for fault in faults:
        watch(fault)
    if snapshot is None and (folder / "config.json").exists():
        raise CheckpointError(f"{folder} is complete; there is nothing to go on with")
    with joined_ranks() as ranks:
        learner = learn_of(plan.task)
        tables = learner.read(plan.data, plan.validation, plan.recipe.data)
        prepared = learner.prepare(plan, tables)
        check_hashes(plan, prepared.hashes)
        watch = watch if ranks.is_first else _silent
        if snapshot is None:
            watch("there is no whole snapshot; the run begins anew")
        else:
            watch(f"going on after step {snapshot.state.step}")
            for reason in differences(snapshot.machine):
                watch(f"the result may differ in its last bits: {reason}")
        run = _make_run(folder, plan, prepared, ranks, should_stop)
        return _run(folder, plan, prepared, run, watch, snapshot)


def _run(
    folder: Path,
    plan: RunPlan,
    prepared: Prepared,
    run: Run,
    watch: Watch,
    start: Snapshot | None,
) -> Finished | None:
    if not run.ranks.is_first:
        # The other ranks learn; the first alone speaks and writes.
        deque(training_steps(run, start=start), maxlen=0)
        return None
    for note in prepared.notes:
        watch(note)
    journal = Journal(folder, after_step=start.state.step if start else 0)
    is_stopped = False
    for event in training_steps(run, start=start):
        journal.write(event)
        watch(event)
        if isinstance(event, Ended):
            is_stopped = event.is_stopped
    if is_stopped:
        return None
    _use_best(run, folder)
    merge_adapters(run.model)
    finished = finish(folder, plan, prepared, run, journal, learn_of(plan.task))
    _remove_working_files(folder)
    return finished


def _make_run(
    folder: Path, plan: RunPlan, prepared: Prepared, ranks: Ranks, should_stop: Callable[[], bool]
) -> Run:
    config = plan.recipe.training
    name = f"cuda:{ranks.local}" if plan.device == "cuda" and ranks.world > 1 else plan.device
    device = usable_device(name)
    model = prepared.pretrained.model.to(device)
    precision = resolved(config.precision, device)
    examples = prepared.validation_examples

    def evaluate() -> dict[str, float]:
        return prepared.task.evaluate(
            model, examples, prepared.validation, device=device, precision=precision
        )

    def keep_best() -> None:
        weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        writing = folder / f".{BEST_WEIGHTS}"
        write_tensors(writing, weights, {})
        writing.replace(folder / BEST_WEIGHTS)

    return Run(
        model=model,
        task=prepared.task,
        examples=prepared.examples,
        config=config,
        device=device,
        evaluate=evaluate if examples else None,
        keep_best=keep_best,
        snapshots=Snapshots(folder / SNAPSHOTS, keep=config.keep_snapshots),
        ranks=ranks,
        should_stop=should_stop,
    )


def _longest_scored(run: Run, prepared: Prepared) -> Callable[[], Mapping[str, float]] | None:
    """Give what scores the longest validation rows, to try it; None if there are none."""
    longest = sorted(prepared.validation_examples, key=lambda e: -e.num_tokens)[:4]
    if not longest:
        return None
    precision = resolved(run.config.precision, run.device)
    return lambda: prepared.task.evaluate(
        run.model, longest, prepared.validation, device=run.device, precision=precision
    )


def _use_best(run: Run, folder: Path) -> None:
    """Go back to the weights that scored best on validation, where there was any."""
    if run.evaluate is None or not (folder / BEST_WEIGHTS).exists():
        return
    best = read_tensors(folder / BEST_WEIGHTS)
    with torch.no_grad():
        for name, parameter in run.model.named_parameters():
            if name in best:
                parameter.copy_(best[name])


def _start_folder(folder: Path, plan: RunPlan, tables: Tables, *, overwrite: bool) -> None:
    """Make the run's folder with its plan, and rows that came from no file."""
    with whole_folder(folder, overwrite=overwrite) as writing:
        for name, kept, table in zip(
            ("data", "validation"), (plan.data, plan.validation), tables, strict=True
        ):
            if kept == f"{name}.jsonl" and table is not None:
                _write_rows(table, writing / kept)
        write_plan(_absolute(plan, folder), writing)


def _absolute(plan: RunPlan, folder: Path) -> RunPlan:
    """Name files so that a resume from another folder finds them."""

    def absolute(name: str | None, copy: str) -> str | None:
        if name is None:
            return None
        return str(folder / name) if name == copy else absolute_name(name)

    model = os.path.abspath(plan.model) if Path(plan.model).is_dir() else plan.model
    data, validation = (
        absolute(plan.data, "data.jsonl"),
        absolute(plan.validation, "validation.jsonl"),
    )
    choice = plan.recipe.data
    choice = replace(choice, old=None if choice.old is None else absolute_name(choice.old))
    recipe = replace(plan.recipe, data=choice)
    return replace(plan, data=data or "", validation=validation, model=model, recipe=recipe)


def _kept_in_run(data: object, name: str) -> str:
    """Tell where a resume will find the rows: in their file, or in a copy in the run's folder."""
    is_file = isinstance(data, str | Path) and str(data) != "-"
    return str(data) if is_file else f"{name}.jsonl"


def _write_rows(table: Table, path: Path) -> None:
    polars.DataFrame(table.to_columns(table.columns)).write_ndjson(path)


def _remove_working_files(folder: Path) -> None:
    """Remove what only a resume would have needed."""
    (folder / BEST_WEIGHTS).unlink(missing_ok=True)
    (folder / f".{BEST_WEIGHTS}").unlink(missing_ok=True)
    for box in folder.glob(f"{WRITING_PREFIX}*"):
        shutil.rmtree(box, ignore_errors=True)
    shutil.rmtree(folder / SNAPSHOTS, ignore_errors=True)


def _check_inputs(folder: Path, inputs: Mapping[str, object]) -> None:
    """Refuse to write over what is read, and to read one stream twice."""
    for role, source in inputs.items():
        paths = (aligned_paths(source) or [Path(source)]) if isinstance(source, str | Path) else []
        if any(folder in (path.absolute(), *path.absolute().parents) for path in paths):
            raise ConfigError(
                f"the {role} {source} lies in the output folder {folder}, which would replace it; "
                f"name another folder"
            )
    if str(inputs["data"]) == "-" == str(inputs["validation"]):
        raise ConfigError(
            "data and validation are both -, but standard input is read once; give one as a file"
        )


def _silent(_: Event | str) -> None:
    return
