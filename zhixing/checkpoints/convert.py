"""Convert a pickled checkpoint (pytorch_model.bin) to safetensors."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from zhixing.checkpoints.files import WEIGHTS_FILE, read_json, whole_folder
from zhixing.checkpoints.pretrained import load_pretrained
from zhixing.errors import CheckpointError, FileError

PICKLE_FILE, PICKLE_INDEX_FILE = "pytorch_model.bin", "pytorch_model.bin.index.json"
# What stands beside the weights: settings, vocabularies, cards.
KEPT_SUFFIXES = (".json", ".txt", ".spm", ".model", ".md")


@dataclass(frozen=True)
class Converted:
    """The result of a conversion.

    `parameters` counts the numbers in the model, `folder` is the new one.
    """

    folder: Path
    model_type: str
    parameters: int


def convert(old: Path, new: Path, *, overwrite: bool = False) -> Converted:
    """Convert a pickled checkpoint to safetensors, and load it once to see that it is whole.

    The pickle is opened by a child process that takes nothing but tensors out of it.

    Raises:
        FileError: If a file is missing or cannot be written.
        CheckpointError: If the pickle holds anything but tensors, or these are no model we know.
    """
    pickles = _pickles(old)
    with whole_folder(new, overwrite=overwrite) as folder:
        command = [sys.executable, "-m", "zhixing.checkpoints.unpickle"]
        child = subprocess.run(
            [*command, str(folder / WEIGHTS_FILE), *map(str, pickles)],
            capture_output=True,
            text=True,
        )
        if child.returncode:
            lines = child.stderr.strip().splitlines() or ["it ended without a word"]
            raise CheckpointError(
                f"{pickles[0]} cannot be read as tensors alone ({lines[-1][:200]}); save the model "
                f"as {WEIGHTS_FILE} with the tool that made it"
            )
        for path in sorted(old.iterdir()):
            if path.suffix in KEPT_SUFFIXES and path.name != PICKLE_INDEX_FILE and path.is_file():
                shutil.copyfile(path, folder / path.name)
        try:
            loaded = load_pretrained(folder)
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(str(folder), str(old))) from error
    parameters = sum(p.numel() for p in loaded.model.parameters())
    return Converted(new, loaded.model_type, parameters)


def _pickles(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileError(f"{folder} is no folder; give the folder of a model")
    if (folder / WEIGHTS_FILE).exists():
        raise CheckpointError(
            f"{folder} has a {WEIGHTS_FILE} and loads as it is; nothing to convert"
        )
    if (folder / PICKLE_FILE).exists():
        return [folder / PICKLE_FILE]
    if not (folder / PICKLE_INDEX_FILE).exists():
        raise CheckpointError(f"{folder} has no {PICKLE_FILE}; there is nothing to convert")
    named = read_json(folder / PICKLE_INDEX_FILE).get("weight_map")
    names = sorted(set(named.values())) if isinstance(named, dict) else []
    wrong = [n for n in names if not isinstance(n, str) or Path(n).name != n]
    if not names or wrong:
        raise CheckpointError(
            f"{folder / PICKLE_INDEX_FILE} has no weight_map of files in its folder; fetch it again"
        )
    return [folder / name for name in names]
