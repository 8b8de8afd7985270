"""Zero-shot transfer: what a final has trained, tested on data sets that it was not trained on.

Lester et al. (2021), section 5: train on one task, test on another of the same form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.core.entries import Entry
from bench.core.errors import BadInput
from bench.datasets import datasets
from bench.datasets.examples import Example, Splits
from bench.experiment.cell import Cell, Target
from bench.experiment.settings import Training
from bench.methods.base import TunedModel
from bench.metrics import metrics
from bench.metrics.base import Metric
from bench.models.language_model import LanguageModel
from bench.runs.record import TransferTest
from bench.training.encoding import Encoder
from bench.training.session import Session


class HeadMismatch(BadInput):
    """A classification head is asked for labels that it does not have."""


@dataclass(frozen=True)
class Trained:
    """What a final has trained, and on what."""

    tuned: TunedModel
    base: LanguageModel | None
    """None for a method without a language model."""
    source: Splits
    encoder: Encoder | None
    """Encodes the source for the base model."""

    @property
    def answers_with_words(self) -> bool:
        """Whether any label words can be scored, not just those that it was trained on."""
        return self.base is not None and self.base.kind.generates


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
    target: Target, trained: Trained, number: int, settings: Training, session: Session
) -> tuple[TransferTest, int]:
    """Test on the test split of a data set.

    A model that answers with words is asked for the target's own; a head, or a baseline that has learned from words
    of the source, can answer only where the label words are the same, in whatever order.

    Args:
        target: what to test on; one that is cross-validated is tested on fold ``number``.
        trained: what is tested.
        number: of the final.
        settings: of its training; batch size and length of inputs count here.
        session: has the data.

    Returns:
        The test, and the real input tokens that were run.
    """
    entry = target.dataset
    folds = entry.options.get("folds")
    splits = session.splits(entry, number % folds if folds else 0)
    found = TransferTest(items=len(splits.test), labels=list(splits.labels), data_revision=splits.revision)
    if not trained.answers_with_words and set(splits.labels) != set(trained.source.labels):
        ours, theirs = ", ".join(trained.source.labels), ", ".join(splits.labels)
        return found.model_copy(update={"reason": f"it has learned to answer {ours}, not {theirs}"}), 0
    examples, encoder, places = _asked(trained, splits, entry, session)
    trained.tuned.turn_to(splits)
    room = encoder.room(trained.tuned.virtual_tokens, settings.max_length) if encoder else None
    done = session.ranks.scorer(trained.tuned, encoder, room, settings.eval_batch_size).run(examples)
    done = replace(done, scores=done.scores[:, places])
    test = done.evaluated(0, [example.label for example in splits.test], build_metrics(entry))
    return found.model_copy(update={"test": test, "truncated_inputs": done.truncated}), done.tokens


def _asked(
    trained: Trained, splits: Splits, entry: Entry, session: Session
) -> tuple[Sequence[Example], Encoder | None, list[int]]:
    """Return the examples of the test split, what encodes them, and where the score of each label word stands."""
    if trained.answers_with_words:
        assert trained.base is not None and trained.encoder is not None
        encoder: Encoder | None = session.encoder(trained.base, entry)
        examples, places = splits.test, list(range(len(splits.labels)))
    else:
        labels = trained.source.labels
        places = [labels.index(word) for word in splits.labels]
        examples = tuple(replace(example, label=places[example.label]) for example in splits.test)
        encoder = Encoder(trained.base, splits.template, labels) if trained.base is not None else None
    if encoder is not None and trained.encoder is not None:
        encoder.device = trained.encoder.device  # of a model that several processes hold together
    return examples, encoder, places


def build_metrics(entry: Entry) -> dict[str, Metric]:
    """Return a data set's metrics by label; the first is the main one."""
    dataset = datasets.build(entry.name, entry.options, f"data set {entry.label}")
    return {each.label: metrics.build(each.name, each.options, f"metric {each.label}") for each in dataset.metrics}
