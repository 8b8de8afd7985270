"""A model that is already on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.core.errors import BadInput
from bench.core.packages import cache_folder
from bench.core.trust import Trusted
from bench.models.base import Model
from bench.models.checkpoint import check_folder, content_files_sha256, trusted_weights, weight_names, weights_sha256
from bench.models.conversion import convert_gguf, convert_once, converted_path


class Local(Model):
    """A folder in the format of transformers, or a GGUF file (converted once, into the cache)."""

    title = "A model of this machine"

    path: Path
    """The folder, or the GGUF file; relative to where ``bench`` is started."""
    gguf_file: str | None = None
    """Name of a GGUF file in the folder, to be read instead of the folder's own weights."""

    def trusts(self) -> Iterable[Trusted]:
        """Return the files, their format and their sha256."""
        gguf, pin = self._gguf(), self.pin()
        names = weight_names(file.name for file in self._path.iterdir()) if self._path.is_dir() else []
        if gguf is not None:
            names = [gguf.name]
        yield trusted_weights(
            names,
            f"{self.path} of this machine",
            {"source": str(self.path), "sha256": pin},
            pinned=pin is not None and bool(names),
            pin=f"; sha256 {pin or 'unknown, for it cannot be read'}",
        )

    def prepare(self) -> None:
        """Check that all of a model is there."""
        gguf = self._gguf()
        if gguf is None:
            check_folder(self._path, "models: local.path")
        elif not gguf.is_file():
            raise BadInput(f"models: local.path: {gguf} is not a file")
        else:
            with gguf.open("rb") as file:
                if file.read(4) != b"GGUF":
                    raise BadInput(f"models: local.path: {gguf} is not a GGUF file")

    def ready(self) -> bool:
        """Whether it is converted if it has to be, and its weights were seen to load."""
        return self._converted.is_dir() if self._gguf() is not None else self._checked.exists()

    def check(self) -> None:
        """See that the weights load and fill the network; what was seen is remembered by their hash."""
        if self._gguf() is None:
            from bench.models.loading import check_weights

            check_weights(self._path)
            self._checked.parent.mkdir(parents=True, exist_ok=True)
            self._checked.touch()

    def folder(self) -> Path:
        """Return the folder itself, or the GGUF's conversion in the cache."""
        self.prepare()
        gguf = self._gguf()
        if gguf is None:
            return self._path
        return convert_once(self._converted, lambda folder: convert_gguf(gguf, folder))

    def pin(self) -> str | None:
        """Return the sha256 over weights, configuration and tokenizer; None if there is nothing yet to hash."""
        try:
            return content_files_sha256(self._path) if self._gguf() is None else self.revision_id()
        except OSError:  # `prepare` says what is wrong
            return None

    def revision_id(self) -> str:
        """Return the sha256 of the weights."""
        if (gguf := self._gguf()) is not None:
            return weights_sha256([gguf])
        return weights_sha256(self._path / name for name in weight_names(p.name for p in self._path.iterdir()))

    @property
    def _checked(self) -> Path:
        return cache_folder() / "checked" / str(self.pin())

    @property
    def _converted(self) -> Path:
        return converted_path("local", self.revision_id())

    @property
    def _path(self) -> Path:
        return self.path.expanduser()

    def _gguf(self) -> Path | None:
        if self.gguf_file is not None:
            return self._path / self.gguf_file
        return self._path if self._path.suffix == ".gguf" else None
