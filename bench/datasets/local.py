"""Your own data: a CSV, TSV, JSON, JSON Lines or Parquet file with a column of labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.core.trust import Trusted
from bench.datasets.examples import Split
from bench.datasets.files import local_sha256, read_table
from bench.datasets.table import Record, Table


class Local(Table):
    r"""A file of your own: CSV, TSV, JSON, JSON Lines or Parquet, with any columns and a template that names them.

    A ``.json`` file is an array of objects; JSON Lines (``.jsonl``) have one object a line.

    For example::

        datasets:
          - local:
              path: data/tweets.csv
              template: "Tweet: {tweet}\nComplaint:"
              label_column: is_complaint
              label_words: {0: "no", 1: "yes"}
    """

    title = "Local file"
    license = "yours"

    path: str
    """The file, relative to the folder in which the command runs. Splits without a file of their own
    are drawn from it."""
    validation_path: str | None = None
    """A file whose rows are the validation split."""
    test_path: str | None = None
    """A file whose rows are the test split."""

    @property
    def origin(self) -> str:
        """The file."""
        return self.path

    def trusts(self) -> Iterable[Trusted]:
        """Return the files with their sha256."""
        files = self._paths().values()
        hashes = {file: local_sha256(file) for file in files if Path(file).expanduser().is_file()}
        missing = [f"{file} is not there" for file in files if file not in hashes]
        says = "; ".join([*(f"{file}, sha256 {known}" for file, known in hashes.items()), *missing])
        yield Trusted("changes" if missing else "pinned", says, {"sha256": hashes})

    def pinned_files(self) -> list[str]:
        """Return the sha256 of each file."""
        return [local_sha256(path) for path in self._paths().values()]

    def records(self) -> tuple[list[Record], None]:
        """Read the files."""
        return [
            Record(place, fields, split) for split, path in self._paths().items() for place, fields in read_table(path)
        ], None

    def _paths(self) -> dict[Split, str]:
        paths: dict[Split, str | None] = {
            "train": self.path,
            "validation": self.validation_path,
            "test": self.test_path,
        }
        return {split: path for split, path in paths.items() if path is not None}
