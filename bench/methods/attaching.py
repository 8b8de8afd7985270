"""How a method is put on a base model, whoever does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.errors import Infeasible
from bench.methods.base import Method, TunedModel

if TYPE_CHECKING:
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel


def attach(method: Method, base: LanguageModel | None, dataset: Splits, seed: int) -> TunedModel:
    """Attach a method to a base model as it was loaded; `TunedModel.detach` gives that back.

    Args:
        method: the method, configured.
        base: the base model; not looked at by a method without one.
        dataset: the splits; their labels are those of an encoder's head.
        seed: seeds whatever is drawn.

    Raises:
        Infeasible: this model cannot run this configuration.
        TypeError: the method returns no `TunedModel`.
    """
    if base is None or not method.uses_model:
        return _checked(method, method.attach(None, dataset, seed))  # type: ignore[arg-type]
    ready = base.for_labels(dataset.labels, seed)
    try:
        tuned = _checked(method, method.attach(ready, dataset, seed))
        tuned.keep_trained_weights()
    except BaseException:
        ready.release()
        raise
    trained = {id(parameter) for parameter in tuned.trainable().values()}
    heads = [ready.network.get_submodule(path) for path in ready.head.paths] if ready.head else []
    if any(trained.isdisjoint(map(id, head.parameters())) for head in heads):
        tuned.detach()
        ready.release()
        raise Infeasible(
            f"{method.title or type(method).__name__} does not train the classification head, without which an encoder "
            "answers at random; choose a method that trains, or a model that answers with words"
        )
    return tuned


def _checked(method: Method, tuned: TunedModel) -> TunedModel:
    if not isinstance(tuned, TunedModel):
        raise TypeError(f"{type(method).__name__}.attach returned {tuned!r}; it has to return a TunedModel")
    return tuned
