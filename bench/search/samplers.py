"""Optuna's samplers and pruners, by the names that an experiment gives them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.core.errors import BadInput, did_you_mean, one_line
from bench.experiment.settings import Study, Training

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

SAMPLERS = {"tpe": "TPESampler", "random": "RandomSampler", "grid": "", "cmaes": "CmaEsSampler"}
PRUNERS = {
    "none": "NopPruner",
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "successive_halving": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
}

_SAMPLER_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    # The constant liar keeps workers apart: a running trial counts as a bad one until it has ended.
    "TPESampler": {"multivariate": True, "constant_liar": True, "n_startup_trials": 5},
    # A parameter that CMA-ES cannot vary (a choice) is drawn at random; saying so at each trial helps nobody.
    "CmaEsSampler": {"warn_independent_sampling": False},
}

_UNUSABLE = ("BaseSampler", "BasePruner", "GridSampler", "PartialFixedSampler")
"""What cannot be said in YAML: a sampler that needs its points, one that needs another sampler."""

MEMORYLESS_SAMPLERS = {"tpe", "random", "grid", "TPESampler", "RandomSampler"}
"""Samplers whose next point depends on finished trials alone, not on notes of their own in the study."""
SEQUENCES = {"QMCSampler"}
"""Samplers that go through one sequence, scrambled by their seed: all trials of a study need the same one."""
MEMORYLESS_PRUNERS = {"none", "median", "percentile", "NopPruner", "MedianPruner", "PercentilePruner"}


def check_study(study: Study, training: Training, where: str) -> None:
    """Check sampler, pruner and their options.

    Raises:
        BadInput: an unknown name, or an option that it does not take.
    """
    # The usual ones are not worth the second that importing optuna takes.
    if study.sampler not in SAMPLERS or (study.sampler_options and study.sampler != "grid"):
        build_sampler(study, 0, where)
    if study.pruner not in PRUNERS or study.pruner_options:
        build_pruner(study, training, where)


def build_sampler(study: Study, seed: int, where: str = "study") -> BaseSampler:
    """Return the sampler of a study; of ``grid``, whose points are enqueued, one that is never asked."""
    import optuna

    if study.sampler == "grid":
        return optuna.samplers.RandomSampler(seed=seed)
    kind = _find(optuna.samplers, "Sampler", study.sampler, SAMPLERS, f"{where}.sampler")
    options = {**_SAMPLER_DEFAULTS.get(kind.__name__, {}), **study.sampler_options}
    if "seed" in study.sampler_options:
        raise BadInput(f"{where}.sampler_options.seed: the experiment's own 'seed' seeds the sampler; set that one")
    if "seed" in _parameters(kind):
        options["seed"] = seed
    sampler: BaseSampler = _build(kind, options, f"{where}.sampler_options")
    return sampler


def build_pruner(study: Study, training: Training, where: str = "study") -> BasePruner:
    """Return the pruner of a study.

    Successive halving and Hyperband count resources in optimizer steps, from the first validation to the last.
    """
    import optuna

    kind = _find(optuna.pruners, "Pruner", study.pruner, PRUNERS, f"{where}.pruner")
    patience = {"n_startup_trials": study.pruner_startup_trials, "n_warmup_steps": study.pruner_warmup_steps}
    defaults: dict[str, dict[str, Any]] = {
        "MedianPruner": patience,
        "PercentilePruner": {"percentile": 25.0, **patience},
    }
    if training.num_train_epochs is None:
        first = training.steps_between_validations(training.max_steps)
        defaults["SuccessiveHalvingPruner"] = {"min_resource": first}
        defaults["HyperbandPruner"] = {"min_resource": first, "max_resource": max(first, training.max_steps)}
    options = {**defaults.get(kind.__name__, {}), **study.pruner_options}
    pruner: BasePruner = _build(kind, options, f"{where}.pruner_options")
    return pruner


def _find(module: Any, suffix: str, name: str, short: Mapping[str, str], where: str) -> Any:
    """Return the class behind a short name or a class name."""
    base = getattr(module, f"Base{suffix}")
    kind = getattr(module, short.get(name) or name, None) if name.isidentifier() else None
    if name == "GridSampler":
        raise BadInput(f"{where}: GridSampler needs its points; write 'grid', which takes them from the search space")
    if not (isinstance(kind, type) and issubclass(kind, base)) or name in _UNUSABLE:
        known = [*short, *(n for n in dir(module) if n.endswith(suffix) and n not in _UNUSABLE)]
        raise BadInput(f"{where}: Optuna has no {suffix.lower()} '{name}' for this{did_you_mean(name, known)}")
    return kind


def _parameters(kind: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(kind).parameters)


def _build(kind: Any, options: Mapping[str, Any], where: str) -> Any:
    """Return an instance of Optuna's class."""
    known = [name for name in _parameters(kind) if name != "seed"]
    for name in options:
        if name not in known and name != "seed":
            raise BadInput(f"{where}.{name}: {kind.__name__} has no such option{did_you_mean(name, known)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls half of its samplers experimental
            return kind(**options)
    except ImportError as error:
        raise BadInput(f"{where}: {kind.__name__} needs a package that is not installed: {error}") from None
    except Exception as error:  # each class has its own checks and its own exceptions
        raise BadInput(f"{where}: {kind.__name__}: {one_line(error)}") from None
