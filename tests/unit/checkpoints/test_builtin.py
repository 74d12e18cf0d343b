import sys
from pathlib import Path

import pytest

from zhixing.checkpoints import builtin
from zhixing.checkpoints.builtin import BUILT_IN, BuiltIn, cache_folder, locate
from zhixing.errors import CheckpointError

TOY = BuiltIn("toy==1.0", "toy_model_of_a_test", "model", "0" * 64, "Apache-2.0")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(builtin, "BUILT_IN", {"toy": TOY})
    monkeypatch.setenv("ZHIXING_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return "toy"


def install(site: Path, monkeypatch: pytest.MonkeyPatch, *, folder: str = "model") -> Path:
    package = site / TOY.module
    (package / folder).mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(site)
    return package / folder


def test_every_built_in_model_names_an_exact_version_and_a_hash() -> None:
    for source in BUILT_IN.values():
        assert source.package.count("==") == 1
        assert len(source.sha256) == 64 and int(source.sha256, 16)


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHIXING_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("ZHIXING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "zhixing"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "zhixing"


def test_a_folder_of_that_name_wins_over_cache_and_package(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = install(tmp_path / "site", monkeypatch)
    assert locate(toy) == installed
    assert TOY.module not in sys.modules
    cached = tmp_path / "cache" / "models" / "toy"
    cached.mkdir(parents=True)
    assert locate(toy) == cached
    (tmp_path / "toy").mkdir()
    assert locate(toy) == Path("toy")


def test_a_package_without_the_folder_does_not_count(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", monkeypatch, folder="other")
    with pytest.raises(CheckpointError, match="toy is not on this machine"):
        locate(toy)


def test_an_absent_model_names_the_command_that_brings_it(toy: str) -> None:
    with pytest.raises(CheckpointError, match="toy is not on this machine; run: zhixing fetch toy"):
        locate(toy)


def test_an_unknown_name_is_told_the_known_ones(toy: str) -> None:
    with pytest.raises(CheckpointError, match="tpy is neither a model folder .*built in are toy"):
        locate("tpy")
