"""Any metric of the Hugging Face hub, or of a folder that holds an `evaluate` module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from bench.core.errors import BadInput, Unavailable, did_you_mean, one_line
from bench.core.trust import Trusted, is_commit, of_the_hub
from bench.metrics.base import Metric

if TYPE_CHECKING:
    import evaluate


class Hub(Metric):
    """Any metric that ``evaluate.load`` finds: on the hub by its id, or in a folder by its path."""

    title: ClassVar[str] = "Metric of the hub"

    id: str
    """Id, such as ``accuracy`` or ``user/name``, or the path of a folder."""
    config: str | None = None
    """Configuration of the metric, where it has several."""
    revision: str | None = None
    """Commit, branch or tag of the metric's code."""
    key: str | None = None
    """Which of the values that the metric returns; null if it returns one only."""
    options: dict[str, Any] = {}
    """Further arguments of its ``compute``, such as ``average: macro``."""
    trust_remote_code: bool = False
    """A metric of the hub is Python code that runs on this machine: say true once you trust it."""

    @model_validator(mode="after")
    def _check_trust(self) -> Self:
        if not self.trust_remote_code:
            raise ValueError(
                f"the metric '{self.id}' is Python code that would run on this machine; "
                "read it, then set trust_remote_code: true"
            )
        return self

    def trusts(self) -> Iterable[Trusted]:
        """Return the metric's code, and whether a commit pins it."""
        local = Path(self.id).is_dir()
        at = (
            f"commit {self.revision}"
            if is_commit(self.revision)
            else f"'{self.revision or 'main'}', which may be moved"
        )
        yield Trusted(
            "code",
            f"Python code of {self.id} at {'a folder of this machine' if local else at}; trust_remote_code lets it run",
            {"source": self.id, "revision": self.revision},
            {} if local else of_the_hub(f"asked for the metric {self.id}"),
        )

    def ready(self) -> bool:
        """Nobody knows before it was loaded."""
        return False

    def prepare(self) -> None:
        """Load the module: what it needs is then in the cache."""
        self.module()

    def module(self) -> evaluate.EvaluationModule:
        """Return the `evaluate` module, loaded once a process.

        Raises:
            Unavailable: no network, no such metric, or a package that it needs is not installed.
        """
        return _load(self.id, self.config, self.revision)

    def compute(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Return the value under `key`; both sequences hold label indices and are of the same length."""
        result = self.module().compute(predictions=predictions, references=references, **self.options)
        if self.key is None and len(result) != 1:
            raise BadInput(f"metric '{self.id}' returns {', '.join(result)}: choose one by 'key'")
        key = self.key or next(iter(result))
        if key not in result:
            raise BadInput(f"metric '{self.id}' returns no '{key}'{did_you_mean(key, result)}")
        try:
            return float(result[key])
        except (TypeError, ValueError):
            raise BadInput(f"metric '{self.id}': '{key}' is not one number but {result[key]!r}") from None


@cache
def _load(name: str, config: str | None, revision: str | None) -> evaluate.EvaluationModule:
    import evaluate

    try:
        return evaluate.load(name, config, module_type="metric", revision=revision, keep_in_memory=True)
    except Exception as error:  # network, missing packages and the module's own code: many classes
        reason = one_line(error)
        raise Unavailable(
            f"metric '{name}' cannot be loaded, neither from the hub nor from a folder of that name: {reason}"
        ) from error
