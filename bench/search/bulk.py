"""Many trials into Optuna's database at once, and a look at whether they are there.

`optuna.Study.add_trial` asks the database some forty questions a trial (has the trial ended, how many came before it,
is each value there already) that a single writer need not ask; in a study of ten thousand trials they cost
more than all else that the driver does. The tables are Optuna's own, by its own classes, of the release that
has made the database; that both ways write the same is tested.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna


def insert_trials(storage: Any, study_id: int, trials: Sequence[optuna.trial.FrozenTrial], first: int) -> None:
    """Write finished trials in one transaction.

    Args:
        storage: Optuna's ``RDBStorage``.
        study_id: of a study in it that has ``first`` trials.
        trials: the trials that follow.
        first: number of the first of them.
    """
    from optuna.storages._rdb import models
    from sqlalchemy import insert
    from sqlalchemy.orm import Session

    with Session(storage.engine) as session, session.begin():
        rows = [
            models.TrialModel(
                study_id=study_id,
                number=first + offset,
                state=trial.state,
                datetime_start=trial.datetime_start,
                datetime_complete=trial.datetime_complete,
            )
            for offset, trial in enumerate(trials)
        ]
        session.add_all(rows)
        session.flush()  # gives them their ids
        details: dict[Any, list[dict[str, Any]]] = {}
        names = _columns(models)
        for row, trial in zip(rows, trials, strict=True):
            for table, columns in _details(models, trial):
                named = dict(zip(names[table], columns, strict=True))
                details.setdefault(table, []).append({"trial_id": row.trial_id, **named})
        for table, columns_of_rows in details.items():
            session.execute(insert(table), columns_of_rows)


def number_of_same(storage: Any, study_id: int, trials: Mapping[int, optuna.trial.FrozenTrial]) -> int | None:
    """Return how many trials a study in the database has; None if one of them is not as in ``trials``, by number.

    Rows are compared: reading them as Optuna's trials takes several times as long.
    """
    from optuna.storages._rdb import models
    from sqlalchemy import select
    from sqlalchemy.orm import Session

    head = models.TrialModel
    with Session(storage.engine) as session:
        of_study = select(head.trial_id, head.number, head.state).where(head.study_id == study_id)
        heads = session.execute(of_study.order_by(head.number)).all()
        if any(n not in trials or state != trials[n].state for _, n, state in heads):
            return None
        expected: dict[Any, set[tuple[Any, ...]]] = {table: set() for table in _columns(models)}
        for trial_id, number, _ in heads:
            for table, columns in _details(models, trials[number]):
                expected[table].add((trial_id, *columns))
        for table, names in _columns(models).items():
            wanted = select(table.trial_id, *(getattr(table, name) for name in names))
            found = session.execute(wanted.join(head).where(head.study_id == study_id))
            if {tuple(row) for row in found} != expected[table]:
                return None
    return len(heads)


def _columns(models: Any) -> dict[Any, tuple[str, ...]]:
    """Return the columns that `_details` fills, by table."""
    attribute = ("key", "value_json")
    return {
        models.TrialValueModel: ("objective", "value", "value_type"),
        models.TrialParamModel: ("param_name", "param_value", "distribution_json"),
        models.TrialIntermediateValueModel: ("step", "intermediate_value", "intermediate_value_type"),
        models.TrialUserAttributeModel: attribute,
        models.TrialSystemAttributeModel: attribute,
    }


def _details(models: Any, trial: optuna.trial.FrozenTrial) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield the rows that belong to a trial: the table, and the values of its `_columns`."""
    for objective, number in enumerate(trial.values or ()):
        yield models.TrialValueModel, (objective, *models.TrialValueModel.value_to_stored_repr(number))
    distributions = trial.distributions
    for name, chosen in trial.params.items():
        distribution = distributions[name]
        internal = distribution.to_internal_repr(chosen)
        yield models.TrialParamModel, (name, internal, _distribution_json(distribution))
    curve = models.TrialIntermediateValueModel
    for step, score in trial.intermediate_values.items():
        yield curve, (step, *curve.intermediate_value_to_stored_repr(score))
    for table, attributes in (
        (models.TrialUserAttributeModel, trial.user_attrs),
        (models.TrialSystemAttributeModel, trial.system_attrs),
    ):
        for key, attribute in attributes.items():
            yield table, (key, json.dumps(attribute))


def _distribution_json(distribution: optuna.distributions.BaseDistribution) -> str:
    from optuna.distributions import distribution_to_json

    return distribution_to_json(distribution)
