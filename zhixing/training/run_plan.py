"""RunPlan: what a run was asked to do, kept in its folder so that it can be resumed."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from zhixing.checkpoints.files import read_json, write_json
from zhixing.errors import CheckpointError, DataError
from zhixing.training.recipe import Recipe

FILE = "run.json"
FORMAT = 2


@dataclass(frozen=True)
class RunPlan:
    """Hold everything a run follows from.

    Attributes:
        task: "classify", "translate", ....
        data: File, pattern, or a copy in the run folder of rows that came from elsewhere.
        validation: The same for validation rows; None if they are split off.
        model: Folder, built-in name, or "new".
        recipe: All settings.
        device: Where it computes.
        threads: How many; 0 for what torch chooses.
        hashes: Of the data, by role; a resume on other data is refused.
        command: That began it, for the report.
    """

    task: str
    data: str
    validation: str | None
    model: str
    recipe: Recipe
    device: str = "cpu"
    threads: int = 0
    hashes: dict[str, str] = field(default_factory=dict)
    command: str = ""


def write_plan(plan: RunPlan, folder: Path) -> None:
    """Keep a plan in its run's folder."""
    values: dict[str, Any] = asdict(replace(plan, recipe=Recipe()))
    write_json(folder / FILE, {"format": FORMAT, **values, "recipe": plan.recipe.to_dict()})


def read_plan(folder: Path) -> RunPlan:
    """Read the plan of a run.

    Raises:
        CheckpointError: If the folder holds no run, or one of another format.
    """
    if not (folder / FILE).exists():
        raise CheckpointError(f"{folder} has no {FILE}; name the --out folder of a training")
    values = read_json(folder / FILE)
    if values.pop("format", None) != FORMAT:
        raise CheckpointError(
            f"{folder / FILE} was written by another version of zhixing; a run goes on only with "
            f"the version that began it: resume it with that one, or train anew"
        )
    try:
        return RunPlan(**{**values, "recipe": Recipe().changed(values["recipe"])})
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{folder / FILE} is damaged ({error}); train anew") from error


def check_hashes(plan: RunPlan, found: dict[str, str]) -> None:
    """Refuse to go on with data that is not what the run began with.

    Raises:
        DataError: With both hashes.
    """
    for role, before in plan.hashes.items():
        if found.get(role) != before:
            raise DataError(
                f"the {role} rows have changed since this run began (SHA-256 {before[:12]} then, "
                f"{str(found.get(role))[:12]} now); restore them, or train anew"
            )
