"""Any data set of the Hugging Face hub, by id and revision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from bench.core.errors import BadInput, Unavailable, one_line
from bench.core.packages import Download
from bench.core.trust import Trusted, is_commit, of_the_hub
from bench.datasets.examples import Split
from bench.datasets.files import as_text, local_sha256
from bench.datasets.table import FORMATS, Record, Table
from bench.datasets.template import missing_column

if TYPE_CHECKING:
    import datasets

_KINDS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json"}


class Hub(Table):
    """Any data set of the Hugging Face hub: id, configuration, revision, split names and label column.

    Labels that the hub stores as numbers with names (``ClassLabel``) are known by their names.
    """

    title = "Data set of the hub"
    homepage = "https://huggingface.co/datasets"

    id: str
    """Id on the hub, such as ``stanfordnlp/sst2``."""
    config: str | None = None
    """Configuration (subset), where the data set has several."""
    revision: str | None = None
    """Commit, branch or tag; give a commit if results are to be comparable later."""
    train_split: str = "train"
    """The hub's name of the split to train on; splits that are not named are drawn from it."""
    validation_split: str | None = None
    """The hub's name of the validation split; null draws one."""
    test_split: str | None = None
    """The hub's name of the test split; null draws one. It must be labelled, which many are not."""
    data_files: dict[Split, str | list[str]] | None = None
    """Parquet, CSV or JSON files by split instead, as ``hf://datasets/<id>@<revision>/<path>``;
    `config`, `revision` and the split names are then not used."""

    @property
    def origin(self) -> str:
        """The id, with the configuration."""
        return f"{self.id} ({self.config})" if self.config else self.id

    def downloads(self) -> list[Download]:
        """Return what is fetched; its size is known only to the hub.

        Of `data_files` the cache of `datasets` knows no names, only hashes, so they are always listed as needed.
        """
        if self.data_files:
            return [Download(file, None, False) for file in self._remote_files()]
        from datasets import config
        from datasets.naming import camelcase_to_snakecase

        *namespace, name = self.id.split("/")
        folder = config.HF_DATASETS_CACHE / "___".join([*namespace, camelcase_to_snakecase(name)]) / (self.config or "")
        return [Download(self.origin, None, folder.is_dir())]

    def trusts(self) -> Iterable[Trusted]:
        """Return the data set of the hub, and whether a commit pins it."""
        fixed = is_commit(self.revision) and not self.data_files
        at = f"commit {self.revision}" if fixed else f"'{self.revision or 'main'}', which may be moved"
        if self.data_files:
            at = "the paths of data_files, pinned only if each names a commit"
        yield Trusted(
            "pinned" if fixed else "changes",
            f"{self.origin} of the hub at {at}; loaded as tables, without code",
            {"source": self.id, "revision": self.revision},
            of_the_hub(f"asked for {self.id}"),
        )

    def pinned_files(self) -> list[str]:
        """Return the sha256 of those `data_files` that are on this machine."""
        return [local_sha256(file) for file in self._files() if "://" not in file]

    def records(self) -> tuple[list[Record], Sequence[str] | None]:
        """Load the splits, from the hub or from its cache."""
        names: dict[Split, str | None] = {
            "train": self.train_split,
            "validation": self.validation_split,
            "test": self.test_split,
        }
        self._check_hub()
        records: list[Record] = []
        order: Sequence[str] | None = None
        for split in self.data_files or [split for split, name in names.items() if name]:
            loaded = self._load(split, names[split] or split)
            place = f"{self.origin}, split '{names[split] or split}'"
            for name, who in (asked := self.columns()).items():
                if name not in loaded.column_names:
                    raise missing_column(place, who, name, loaded.column_names)
            if self.label_column in asked:
                order = getattr(loaded.features[self.label_column], "names", None)
            further = FORMATS[self.format].optional if self.format else ()
            wanted = loaded.select_columns([*asked, *(name for name in further if name in loaded.column_names)])
            for number, row in enumerate(wanted, start=1):
                fields = {name: as_text(value) for name, value in row.items()}
                if order is not None:
                    fields[self.label_column] = _class_name(order, row[self.label_column])
                records.append(Record(f"{place}, row {number}", fields, split))
        return records, order

    def _check_hub(self) -> None:
        """Ask for the data set once, without retries, so that a wrong id or a missing network is said at once."""
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

        if constants.HF_HUB_OFFLINE or (self.data_files and not self._remote_files()):
            return
        try:
            HfApi().dataset_info(self.id, revision=None if self.data_files else self.revision, timeout=20)
        except RepositoryNotFoundError:
            raise BadInput(
                f"{self.id}: the hub has no such data set, or it is private or gated ('hf auth login')"
            ) from None
        except RevisionNotFoundError:
            raise BadInput(f"{self.id}: the data set has no revision '{self.revision}'") from None
        except HFValidationError as error:
            raise BadInput(f"{self.id}: no valid id: {error}") from None
        except Exception as error:  # whichever HTTP library the hub client uses raises classes of its own
            raise Unavailable(
                f"{self.id}: the Hugging Face hub cannot be reached ({one_line(error)}); "
                "if the data set is in its cache, set HF_HUB_OFFLINE=1"
            ) from error

    def _remote_files(self) -> list[str]:
        return [file for file in self._files() if "://" in file]

    def _files(self) -> list[str]:
        entries = (self.data_files or {}).values()
        return [file for entry in entries for file in ([entry] if isinstance(entry, str) else entry)]

    def _load(self, split: Split, name: str) -> datasets.Dataset:
        from datasets import load_dataset

        wanted: dict[str, Any] = {"path": self.id, "name": self.config, "revision": self.revision, "split": name}
        if self.data_files:
            files = self.data_files[split]
            suffix = PurePosixPath(files if isinstance(files, str) else files[0]).suffix
            if suffix not in _KINDS:
                raise BadInput(f"{self.origin}: data_files.{split}: expected one of {', '.join(_KINDS)}, found {files}")
            wanted = {"path": _KINDS[suffix], "data_files": {split: files}, "split": split}
        try:
            return load_dataset(**wanted)
        except (ValueError, FileNotFoundError) as error:  # unknown configuration, split or file
            raise BadInput(f"{self.origin}: {one_line(error)}") from error
        except Exception as error:  # network and cache: many libraries, many classes
            raise Unavailable(f"{self.origin}: cannot be loaded from the hub: {one_line(error)}") from error


def _class_name(names: Sequence[str], value: int | None) -> str:
    """Return the name behind a ``ClassLabel``; the hub marks a row without a label with -1."""
    return names[value] if value is not None and value >= 0 else ""
