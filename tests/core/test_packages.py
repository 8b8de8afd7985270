"""The cache: filled by one process at a time, whole or not at all, and shared if its owner wants that."""

from __future__ import annotations

import threading
import time
import zipfile
from pathlib import Path

import pytest

from bench.core.errors import Unavailable
from bench.core.packages import Wheel, cache_folder, locked, new_folder


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
    assert wheel.members("toy/", ".txt") == ["toy/a.txt", "toy/b.txt"]
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
