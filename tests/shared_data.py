"""The real data sets, which stay outside the project: where they lie, what absence means."""

import os
from pathlib import Path

import pytest

FOLDER = Path(
    os.environ.get("ZHIXING_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)


def real_set(*parts: str) -> Path:
    """Give a file of the real sets; skip the test where it is absent, and under CI fail it."""
    path = FOLDER.joinpath(*parts)
    if not path.exists():
        said = f"{path} is absent; name the folder of the data sets with ZHIXING_DATA"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return path
