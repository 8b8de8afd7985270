"""Any model of the hub, by its id."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pydantic import Field, field_validator

from bench.core.errors import BadInput, Unavailable, named_line
from bench.core.packages import Download
from bench.core.trust import Trusted, is_commit, of_the_hub
from bench.models.base import Model
from bench.models.checkpoint import check_folder, trusted_weights, weight_names

_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_SMALL_FILES = (".json", ".jinja", ".model", ".tiktoken", ".txt", ".py")


class Hub(Model):
    """A model of the hub, pinned by a revision: a branch, a tag or, best, a commit.

    The commit that a branch stood for is in every record. What is in the hub's cache is used without a network.
    """

    title = "A model of the hub"
    license = "as its page on the hub says"

    id: str
    """The model's name on the hub, such as ``bigscience/bloomz-560m``."""
    revision: str = Field("main", min_length=1)
    """Branch, tag or commit; only a commit never changes."""

    @field_validator("id")
    @classmethod
    def _check_id(cls, value: str) -> str:
        if not _ID.fullmatch(value):
            raise ValueError(f"{value!r} is no id of the hub (owner/name); for a folder use the model 'local'")
        return value

    def downloads(self) -> list[Download]:
        """Return the snapshot; its size is known only to the hub."""
        return [Download(self._named, None, self._cached() is not None)]

    def trusts(self) -> Iterable[Trusted]:
        """Return the model of the hub, whether a commit pins it, and the format of its weights if it was fetched."""
        fixed, snapshot = is_commit(self.revision), self._cached()
        at = f"commit {self.revision}" if fixed else f"'{self.revision}', a branch or a tag, which may be moved"
        facts = {"source": self.id, "revision": self.revision, "cached": snapshot is not None}
        if snapshot is None:
            says = f"{self.id} of the hub at {at}; not fetched yet, so format unknown"
            found = Trusted("pinned" if fixed else "changes", says, {**facts, "weights": []})
        else:
            names = weight_names(path.name for path in snapshot.iterdir())
            found = trusted_weights(names, f"{self.id} of the hub at {at}", facts, fixed)
        hosts = {} if fixed and snapshot is not None else of_the_hub(f"asked for {self.id}")
        yield replace(found, hosts=hosts)

    def prepare(self) -> None:
        """Fetch the files that a language model is loaded from, and no others.

        Raises:
            Unavailable: the hub cannot be reached and the model is not in its cache, or its terms were not accepted.
            BadInput: there is no such model, or it is no language model in the format of transformers.
        """
        if self._cached() is not None and is_commit(self.revision):
            return
        try:
            self._fetch()
        except (BadInput, Unavailable):
            if self._cached() is None:
                raise

    def folder(self) -> Path:
        """Return the snapshot in the hub's cache; the network is asked only if it is not there."""
        return self._cached() or self._fetch()

    def revision_id(self) -> str:
        """Return the commit."""
        return self.folder().name

    @property
    def _named(self) -> str:
        return self.id if self.revision == "main" else f"{self.id} at {self.revision}"

    def _cached(self) -> Path | None:
        """Return the snapshot's folder if all of it is in the cache."""
        from huggingface_hub import try_to_load_from_cache

        config = try_to_load_from_cache(self.id, "config.json", revision=self.revision)
        if not isinstance(config, str):
            return None
        folder = Path(config).parent
        try:
            check_folder(folder, self.id)
        except BadInput:
            return None
        return folder

    def _fetch(self) -> Path:
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

        try:
            listed = HfApi().model_info(self.id, revision=self.revision, timeout=20)
            files = wanted(file.rfilename for file in listed.siblings or ())
            folder = Path(snapshot_download(self.id, revision=self.revision, allow_patterns=files))
        except GatedRepoError as error:
            raise Unavailable(
                f"model {self._named} is gated: accept its terms on its hub page, then log in ('hf auth login')"
            ) from error
        except RevisionNotFoundError as error:
            raise BadInput(f"model {self.id}: the hub has no revision {self.revision!r} of it") from error
        except RepositoryNotFoundError as error:
            raise BadInput(
                f"model {self.id}: the hub has no such model; if it is private, log in first ('hf auth login')"
            ) from error
        except Exception as error:  # which network errors there are differs between releases of the hub client
            raise Unavailable(
                f"model {self._named} is not in the hub's cache, and the hub cannot be reached "
                f"({named_line(error)}); connect, or use the model 'local' or one of a package"
            ) from error
        check_folder(folder, f"model {self._named}")
        return folder


def wanted(files: Iterable[str]) -> list[str]:
    """Return which files of a repository are needed: weights of one format, configuration, tokenizer."""
    top = [name for name in files if "/" not in name]
    weights = weight_names(top)
    return sorted({*weights, *(name for name in top if name.endswith(_SMALL_FILES) and "[" not in name)})
