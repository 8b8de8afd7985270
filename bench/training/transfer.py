"""Zero-shot transfer: what a final has trained, tested on data sets that it was not trained on.

Lester et al. (2021), section 5: train on one task, test on another of the same form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.core.entries import Entry
from bench.core.errors import BadInput
from bench.datasets.examples import Example
from bench.datasets.splits import Splits
from bench.experiment.cell import Cell, Target
from bench.experiment.settings import Training
from bench.models.language_model import LanguageModel
from bench.runs.record import TransferTest
from bench.training.encoding import Encoder
from bench.training.prepared import Prepared, build_metrics, score, writes
from bench.training.session import Session


class HeadMismatch(BadInput):
    """A classification head is asked for labels that it does not have."""


def check_heads(cell: Cell, base: LanguageModel | None, source: Splits, session: Session) -> None:
    """Check before anything is trained that an encoder's head knows the labels of the data sets to transfer to.

    Raises:
        HeadMismatch: it does not.
    """
    if base is None or base.kind.generates:
        return
    for target in cell.transfer:
        labels = session.splits(target.dataset).labels
        if set(labels) != set(source.labels):
            raise HeadMismatch(
                f"datasets.{cell.dataset.label}.transfer: {cell.labels[0]} answers by a head over the labels "
                f"{', '.join(source.labels)}, but {target.dataset.label} has {', '.join(labels)}; transfer to data "
                "sets with the same label words, or leave this model out"
            )


def test_on(
    target: Target, prepared: Prepared, number: int, settings: Training, session: Session
) -> tuple[TransferTest, int]:
    """Test on the test split of a data set.

    A model that answers with words is asked for the target's own; a head, or a baseline that has learned from words
    of the source, can answer only where the label words are the same, in whatever order. A target that is
    cross-validated is tested on the fold of the final's ``number``.

    Returns:
        The test, and the real input tokens that were run.
    """
    entry = target.dataset
    folds = entry.options.get("folds")
    splits = session.splits(entry, number % folds if folds else 0)
    found = TransferTest(items=len(splits.test), labels=list(splits.labels), data_revision=splits.revision)
    if type(splits.answer) is not type(prepared.splits.answer):
        ours, theirs = prepared.splits.answer.title, splits.answer.title
        return found.model_copy(update={"reason": f"it has learned to answer by {ours}, not by {theirs}"}), 0
    if not prepared.answers_with_words and set(splits.labels) != set(prepared.splits.labels):
        ours, theirs = ", ".join(prepared.splits.labels), ", ".join(splits.labels)
        return found.model_copy(update={"reason": f"it has learned to answer {ours}, not {theirs}"}), 0
    examples, encoder, places = _asked(prepared, splits, entry, session)
    prepared.tuned.set_dataset(splits)
    room = encoder.room(prepared.tuned.virtual_tokens, settings.max_length) if encoder else None
    scorer = session.ranks.scorer(prepared.tuned, encoder, room, settings.eval_batch_size, prepared.dtype)
    metrics = build_metrics(entry)
    done = scorer.run(examples)
    done = replace(done, scores=done.scores[:, places])
    texts = [one.text for one in scorer.write(examples)] if writes(metrics) else None
    test = done.evaluated(0, score(done.answered(splits.test, splits, texts), metrics))
    return TransferTest(**dict(found) | {"test": test, "truncated_inputs": done.truncated}), done.tokens


def _asked(
    prepared: Prepared, splits: Splits, entry: Entry, session: Session
) -> tuple[Sequence[Example], Encoder | None, Sequence[int] | slice]:
    """Return the examples of the test split, what encodes them, and where the score of each label word stands."""
    places: Sequence[int] | slice = slice(None)
    if prepared.answers_with_words:
        assert prepared.base is not None and prepared.encoder is not None
        encoder: Encoder | None = session.encoder(prepared.base, entry)
        examples = splits.test
    elif not splits.labels:  # of a method without a model
        return splits.test, None, places
    else:
        labels = prepared.splits.labels
        order = places = [labels.index(word) for word in splits.labels]
        examples = tuple(replace(example, label=order[example.label]) for example in splits.test)
        encoder = Encoder(prepared.base, splits.template, labels) if prepared.base is not None else None
    if encoder is not None and prepared.encoder is not None:
        encoder.device = prepared.encoder.device  # of a model that several processes hold together
    return examples, encoder, places
