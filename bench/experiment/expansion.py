"""From an experiment to its cells: names are looked up, settings merged, everything checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any, get_args

from pydantic import ValidationError

from bench.core.config import Config, aliases, deep_merge, explain, own_names
from bench.core.distributions import Choice, Distribution, Float, Int, SearchSpace
from bench.core.entries import DatasetEntry, Entry, MethodEntry
from bench.core.errors import BadInput, did_you_mean
from bench.core.plugins import load_plugins, plugins_behind
from bench.core.registry import check_name
from bench.datasets import datasets
from bench.datasets.base import BaseDataset
from bench.datasets.files import local_sha256
from bench.experiment.cell import Cell, Target
from bench.experiment.grid import cell_grid, number_of_points
from bench.experiment.schema import Experiment, Override
from bench.experiment.settings import Evaluation, Runtime, Training
from bench.methods import methods
from bench.methods.base import Method
from bench.metrics import metrics
from bench.models import models


def plan_cells(experiment: Experiment, where: str, say: Callable[[str], None] = lambda text: None) -> list[Cell]:
    """Return the cells of an experiment, smallest model first, all checked.

    Args:
        experiment: the validated file.
        where: the file's name, for messages.
        say: told of each cell that has fewer trials than asked for.

    Raises:
        BadInput: an unknown name, key, label or a setting that cannot be.
    """
    load_plugins(experiment.plugins)
    Training.parse(experiment.training, f"{where}: training")
    _check_overrides(experiment, where)
    chosen_models = [model_entry(entry, f"{where}: models[{i}]") for i, entry in enumerate(experiment.models)]
    cells, used = [], set[int]()
    for index, dataset in enumerate(experiment.datasets):
        source = _dataset(dataset, f"{where}: datasets[{index}]")
        targets = _targets(experiment, dataset, source, f"{where}: datasets[{index}].{dataset.name}.transfer")
        for position, method in enumerate(experiment.methods):
            place = f"{where}: methods[{position}]"
            kind = methods.get(method.name, place)
            for model in chosen_models if kind.uses_model else [None]:
                mine = [i for i, o in enumerate(experiment.overrides) if _applies(o, model, dataset, method)]
                used.update(mine)
                if not any(experiment.overrides[i].skip for i in mine):
                    cell = _cell(experiment, model, dataset, source, method, place, say)
                    cells.append(cell.model_copy(update={"transfer": targets}))
    if not cells:
        raise BadInput(f"{where}: overrides: every cell is skipped; nothing is left to run")
    for index in sorted(set(range(len(experiment.overrides))) - used):
        raise BadInput(f"{where}: overrides[{index}]: is for no cell (a method without a model is of no model's)")
    # One model after the other, small ones first: results appear early and a base model is loaded once.
    sizes = {entry.label: models.get(entry.name).parameters or float("inf") for entry in chosen_models}
    order = sorted(sizes, key=sizes.__getitem__)
    return sorted(cells, key=lambda cell: order.index(cell.model.label) if cell.model else -1)


def model_entry(entry: Entry, where: str) -> Entry:
    """Return a checked model with all its options; ``organisation/name`` that is not registered is an id of the hub."""
    if "/" in entry.name and entry.name not in models:
        options = {"id": entry.name, **entry.options}
        entry = entry.model_copy(update={"name": "hub", "options": options})
    place = f"{where}.{entry.name}"
    built = models.build(entry.name, entry.options, place)
    if built.bits and find_spec("bitsandbytes") is None:
        raise BadInput(
            f"{place}.load_in_{built.bits}bit: needs bitsandbytes, which is not installed; "
            "pip install 'promptscale[quantized]'"
        )
    return entry.model_copy(update={"options": built.model_dump(mode="json")})


def _dataset(entry: Entry, where: str) -> BaseDataset:
    """Check a data set and its metrics."""
    built = datasets.build(entry.name, entry.options, f"{where}.{entry.name}")
    for position, metric in enumerate(built.metrics):
        place = f"{where}.{entry.name}.metrics[{position}]"
        check_name(metric.label, f"{place}: label")  # names columns and files
        if (scored := metrics.build(metric.name, metric.options, place).scored) not in built.answer.scored:
            raise BadInput(
                f"{place}: '{metric.label}' scores {scored}, and the answers of this data set are {built.answer.title}"
            )
    return built


def _targets(experiment: Experiment, dataset: DatasetEntry, source: BaseDataset, where: str) -> tuple[Target, ...]:
    """Return where else the finals of a data set are tested; a label of the experiment's stands for its options."""
    ours = {entry.label: entry for entry in experiment.datasets}
    targets = []
    for position, asked in enumerate(dataset.transfer):
        place, known = f"{where}[{position}]", ours.get(asked.label)
        if known is not None and (asked.options or asked.name not in (known.name, known.label)):
            raise BadInput(
                f"{place}: the label '{asked.label}' is that of a data set of the experiment; name that one without "
                "options, or give this one another label by 'label:'"
            )
        entry = known or asked
        built = _dataset(entry, place)
        options = built.model_dump(mode="json")
        if (entry.name, options) == (dataset.name, source.model_dump(mode="json")):
            raise BadInput(f"{place}: '{asked.label}' is the data set itself; name another one to be tested on")
        main = built.metrics[0]
        targets.append(
            Target(
                dataset=Entry(name=entry.name, label=entry.label, options=options),
                data_pin=built.pin(),
                plugins=plugins_behind((datasets, entry.name), *((metrics, m.name) for m in built.metrics)),
                objective=main.label,
                greater_is_better=metrics.build(main.name, main.options, place).greater_is_better,
            )
        )
    return tuple(targets)


def _cell(
    experiment: Experiment,
    model: Entry | None,
    dataset: Entry,
    source: BaseDataset,
    method: MethodEntry,
    where: str,
    say: Callable[[str], None],
) -> Cell:
    kind = methods.get(method.name, where)
    mine = [o for o in experiment.overrides if _applies(o, model, dataset, method)]
    place = f"{where}.{method.name}"
    options = deep_merge(*(_named(kind, layer, place) for layer in (method.options, *(o.options for o in mine))))
    trained = deep_merge(kind.training_defaults, experiment.training, method.training, *(o.training for o in mine))
    training = Training.parse(trained, f"{place}.training")
    built = kind.parse(options, place)
    asked = (method.search, *(o.search for o in mine))
    changes = deep_merge(*(_named(kind, layer, f"{place}.search") for layer in asked))
    search, fixed = _search_space(built, changes, f"{place}.search")
    built = kind.parse({**options, **{k: v for k, v in fixed.items() if k not in Training.model_fields}}, place)
    if of_training := {k: v for k, v in fixed.items() if k in Training.model_fields}:
        training = Training.parse({**trained, **of_training}, f"{place}.search")
    objective = source.metrics[0]
    trials = next((o.trials for o in reversed(mine) if o.trials is not None), experiment.study.trials)
    if trials == 0:
        search = {}
    cell = Cell(
        model=model,
        dataset=Entry(name=dataset.name, label=dataset.label, options=source.model_dump(mode="json")),
        method=Entry(name=method.name, label=method.label, options=built.model_dump(mode="json")),
        training=training,
        search=search,
        # Nothing to search: the finals are all there is to run. A database's URL may hold a password.
        study=experiment.study.model_copy(
            update={"trials": trials if search else int(not experiment.finals.seeds), "storage": None}
        ),
        finals=experiment.finals,
        evaluation=_with_pinned_text(experiment.evaluation),
        runtime=Runtime.parse(deep_merge(experiment.runtime.model_dump(), *(o.runtime for o in mine)), where),
        seed=experiment.seed,
        version=kind.version,
        model_pin=models.build(model.name, model.options, f"model {model.label}").pin() if model else None,
        data_pin=source.pin(),
        plugins=plugins_behind(
            *([(models, model.name)] if model else []),
            (datasets, dataset.name),
            (methods, method.name),
            *((metrics, metric.name) for metric in source.metrics),
        ),
        trust_remote_code=experiment.trust_remote_code,
        objective=objective.label,
        greater_is_better=metrics.build(objective.name, objective.options, where).greater_is_better,
        stochastic=any(each.stochastic for each in _variants(built, search)),
    )
    points = len(cell_grid(cell)) if cell.study.sampler == "grid" else number_of_points(search)
    if search and points is not None and points < trials:
        cell = cell.model_copy(update={"study": cell.study.model_copy(update={"trials": points})})
        say(f"{cell.title}: {points} trials instead of {trials}: there are no more points to try")
    if cell.studies > 1:
        study = cell.study.model_copy(update={"trials": cell.study.trials * cell.studies})
        cell = cell.model_copy(update={"study": study})
    return cell


def _with_pinned_text(evaluation: Evaluation) -> Evaluation:
    """Return the settings with the sha256 of a text of the user's own; reading it says what is wrong with it."""
    text = evaluation.retention
    if text is None or text.path is None:
        return evaluation
    pinned = text.model_copy(update={"sha256": local_sha256(text.path)})
    return evaluation.model_copy(update={"retention": pinned})


def _named(kind: type[Method], data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return options by the names of the method's fields, one layer at a time: a later one may use the other name."""
    try:
        return own_names(kind, data)
    except ValueError as error:
        raise BadInput(f"{where}: {error}") from None


def _search_space(method: Method, changes: Mapping[str, Any], where: str) -> tuple[SearchSpace, dict[str, Any]]:
    """Merge changes into a method's search space.

    A mapping changes a distribution, a list becomes a choice, a plain value fixes the parameter.

    Returns:
        the space, and the parameters that were fixed.
    """
    known = {*method.options(), *Training.model_fields}
    space = _own_space(method, known)
    fixed: dict[str, Any] = {}
    for name, change in changes.items():
        place = f"{where}.{name}"
        if name not in known:
            known |= {alias.name for alias in aliases(type(method)).values()}
            raise BadInput(f"{where}: unknown parameter '{name}'{did_you_mean(name, known)}")
        if isinstance(change, Mapping):
            if "kind" in change:
                raise BadInput(f"{place}.kind: unknown key; the parameter's own type says what is drawn")
            space[name] = _distribution(_changed(space.get(name), change, _real(method, name, change)), place)
        elif isinstance(change, list):
            if any(isinstance(one, list | dict) for one in change):
                raise BadInput(f"{place}: a choice is a number, a word or null; a list of lists cannot be searched")
            space[name] = _distribution({"kind": "choice", "choices": change}, place)
        else:
            space.pop(name, None)
            fixed[name] = change
    check_search_space(method, space, where)
    for name, value in fixed.items():
        _check_value(method, name, value, f"{where}.{name}")
    return space, fixed


def _own_space(method: Method, known: Iterable[str]) -> SearchSpace:
    """Return a method's own search space, or raise `BadInput` that names its class: the author's to mend."""
    space, where = method.search_space(), f"{type(method).__name__}.search_space()"
    known = {*known, *(alias.name for alias in aliases(type(method)).values())}
    if not isinstance(space, Mapping) or not all(isinstance(one, Distribution) for one in space.values()):
        raise BadInput(f"{where}: expected a mapping of names to Float, Int or Choice, found {space!r:.100}")
    for name in space:
        if name not in known:
            raise BadInput(f"{where}: unknown parameter '{name}'{did_you_mean(name, known)}")
    return space


def check_search_space(method: Method, space: SearchSpace, where: str) -> None:
    """Raise `BadInput` unless a search space names fields that exist, and values that they accept."""
    for name, distribution in space.items():
        for value in _ends(distribution):
            _check_value(method, name, value, f"{where}.{name}")


def _changed(old: Distribution | None, change: Mapping[str, Any], real: bool) -> dict[str, Any]:
    """Lay a change over the old distribution, or over nothing where it asks for one of another kind."""
    kind = "choice" if "choices" in change else "float" if real else "int"
    kept = old.model_dump() if old is not None and old.kind == kind else {}
    return {**kept, **change, "kind": kind}


def _real(method: Method, name: str, change: Mapping[str, Any]) -> bool:
    """Whether the field that takes the value is a real number."""
    field = {**type(method).model_fields, **Training.model_fields}.get(name)
    if field is None:  # of a class that is not ours: its default value tells, or how the range is written
        return isinstance(method.options()[name], float) or isinstance(change.get("low"), float)
    return float in (field.annotation, *get_args(field.annotation))


def _distribution(data: dict[str, Any], where: str) -> Distribution:
    kinds: dict[str, type[Float | Int | Choice]] = {"float": Float, "int": Int, "choice": Choice}
    return kinds[data["kind"]].parse(data, where)


def _ends(distribution: Distribution) -> Iterable[Any]:
    """Return every choice, or both ends of a range."""
    return distribution.choices if isinstance(distribution, Choice) else (distribution.low, distribution.high)


def _variants(method: Method, space: SearchSpace) -> Iterable[Method]:
    """Yield the method, and what a study may make of it by one option or another."""
    yield method
    for name, distribution in space.items():
        if name not in Training.model_fields:
            yield from (method.model_copy(update={name: value}) for value in _ends(distribution))


def _check_value(method: Method, name: str, value: Any, where: str) -> None:
    """Check a value against the field that will take it."""
    ours = name in Training.model_fields
    owner: type[Config] = Training if ours else type(method)
    options = {} if ours else method.model_dump(exclude_unset=True)
    alias = aliases(owner).get(name)
    if alias is not None and isinstance(value, str) and value in alias.words:
        raise BadInput(f"{where}: {value!r} is PEFT's word; in a search say {alias.words[value][name]!r}")
    try:
        owner.model_validate({**options, name: value})
    except ValidationError as error:
        # What two options say together is checked where both are known; fields of another class are not typed here.
        if name not in owner.model_fields or any(item["loc"][:1] == (name,) for item in error.errors()):
            raise BadInput(explain(error, owner, where.removesuffix(f".{name}"))) from None


def _check_overrides(experiment: Experiment, where: str) -> None:
    for index, override in enumerate(experiment.overrides):
        place = f"{where}: overrides[{index}]"
        Training.parse(override.training, f"{place}.training")
        Runtime.parse(override.runtime, f"{place}.runtime")
        for shared in {"device", "threads"} & override.runtime.keys():
            raise BadInput(f"{place}.runtime.{shared}: one for all cells; set it below 'runtime' of the experiment")
        _check_options(override, experiment.methods, place)
        for kind in ("models", "datasets", "methods"):
            known = [entry.label for entry in getattr(experiment, kind)]
            for label in getattr(override, kind) or ():
                if label not in known:
                    raise BadInput(
                        f"{where}: overrides[{index}].{kind}: no entry has the label '{label}'"
                        f"{did_you_mean(label, known)}"
                    )


def _check_options(override: Override, entries: Iterable[MethodEntry], where: str) -> None:
    """Raise `BadInput` at a key that one of the methods has not: merged into their entries it would be sought there."""
    kinds = {entry.label: methods.get(entry.name) for entry in entries if entry.name in methods}
    meant = {
        label: {*kind.model_fields, *(alias.name for alias in aliases(kind).values())}
        for label, kind in kinds.items()
        if label in (kinds if override.methods is None else override.methods)
        and (kind.uses_model or override.models is None)
        and kind.model_config.get("extra") != "allow"  # a generic method takes the options of another class
    }
    for key, further in (("options", set[str]()), ("search", {*Training.model_fields})):
        for name in getattr(override, key) if meant else ():
            lacking = [label for label, known in meant.items() if name not in known | further]
            if len(lacking) == len(meant):
                known = further.union(*meant.values())
                raise BadInput(f"{where}.{key}.{name}: unknown key{did_you_mean(name, known)}")
            if lacking:
                raise BadInput(f"{where}.{key}.{name}: not of '{lacking[0]}'; say by 'methods:' which ones are meant")


def _applies(override: Override, model: Entry | None, dataset: Entry, method: Entry) -> bool:
    def allowed(labels: list[str] | None, entry: Entry | None) -> bool:
        return labels is None or (entry is not None and entry.label in labels)

    return allowed(override.models, model) and allowed(override.datasets, dataset) and allowed(override.methods, method)
