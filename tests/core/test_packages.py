"""The cache: filled by one process at a time, whole or not at all, and shared if its owner wants that."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from bench.core.errors import Unavailable
from bench.core.packages import SourceArchive, Wheel, cache_folder, file_sha256, locked, new_folder


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel that is in the cache already."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    wheel = Wheel("toy", "1.0", "0" * 64, 700)
    wheel.path.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel.path, "w") as archive:
        for name in ("toy/a.txt", "toy/b.txt", "toy/c.bin", "other/a.txt"):
            archive.writestr(name, name)
    return wheel


def test_the_cache_is_where_the_user_says_else_where_the_platform_keeps_caches(monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", "~/bench")
    assert cache_folder() == Path.home() / "bench"
    monkeypatch.delenv("BENCH_CACHE")
    assert cache_folder().name == "promptscale"


def test_files_of_a_wheel_are_read_without_installing_it(wheel, tmp_path):
    assert wheel.read("toy/c.bin") == b"toy/c.bin"
    assert wheel.extract("other/a.txt", tmp_path).read_text() == "other/a.txt"
    assert wheel.download().cached


def test_a_member_that_climbs_out_of_its_folder_does_not(tmp_path, wheel):
    with zipfile.ZipFile(wheel.path, "a") as archive:
        archive.writestr("../../evil.txt", "x")
    (tmp_path / "in").mkdir()
    assert wheel.extract("../../evil.txt", tmp_path / "in") == tmp_path / "in" / "evil.txt"


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "made"
    with pytest.raises(KeyboardInterrupt), new_folder(target) as folder:
        (folder / "half").touch()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []

    with new_folder(target) as folder:
        (folder / "whole").touch()
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_a_new_folder_can_be_read_by_whoever_the_umask_allows(tmp_path):
    (tmp_path / "plain").mkdir()
    with new_folder(tmp_path / "made"):
        pass
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_who_comes_second_waits_until_the_first_is_through(tmp_path):
    log = []

    def work(name):
        with locked(tmp_path / "thing"):
            log.append(name)
            time.sleep(0.05)
            log.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log in (["a", "a", "b", "b"], ["b", "b", "a", "a"])


def test_a_cache_that_cannot_be_written_is_said_in_one_line_and_other_errors_pass(tmp_path):
    (tmp_path / "file").touch()
    said = r"cache folder \S+ is not writable \(.+\); set BENCH_CACHE"
    with pytest.raises(Unavailable, match=said), locked(tmp_path / "file" / "models" / "x"):
        pass
    with pytest.raises(PermissionError, match="mine"), locked(tmp_path / "x"):
        raise PermissionError("mine")


SETUP = """
from pathlib import Path
from setuptools import setup
Path({trace!r}).touch()
setup(name="toy-data", version="1.0")
"""


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A source archive on an index of its own, whose code would leave a trace, and an empty cache."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: toy-data\nVersion: 1.0\n",
        "setup.py": SETUP.format(trace=str(tmp_path / "trace")),
        "data/a.txt": "a",
        "data/b.txt": "b",
    }
    with tarfile.open(index / "toy-data-1.0.tar.gz", "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"toy-data-1.0/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return index / "toy-data-1.0.tar.gz"


def test_a_source_archive_is_read_and_none_of_its_code_runs(archive, tmp_path):
    found = SourceArchive("toy-data", "1.0", file_sha256(archive), 700)
    assert found.read("data/b.txt") == b"b"
    assert found.cached
    assert not (tmp_path / "trace").exists()
    with pytest.raises(KeyError, match=r"no file toy-data-1\.0/data/c\.txt"):
        found.read("data/c.txt")


def test_what_was_read_of_a_source_archive_once_is_read_without_it(archive, tmp_path):
    found = SourceArchive("toy-data", "1.0", file_sha256(archive), 700)
    assert found.read("data/a.txt") == b"a"
    archive.unlink()
    found.path.unlink()
    assert found.read("data/a.txt") == b"a"


def test_a_source_archive_of_another_hash_is_refused_before_it_is_opened(archive, tmp_path):
    sha256 = file_sha256(archive)
    other = SourceArchive("toy-data", "1.0", "0" * 64, 700)
    with pytest.raises(Unavailable, match=f"sha256 is {sha256}, expected {'0' * 64}"):
        other.fetch()
    assert not other.cached
    assert not (tmp_path / "trace").exists()
