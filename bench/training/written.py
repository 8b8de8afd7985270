"""What a final answered to each test item, as its record keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.metrics.base import Answered, BaseMetric, Score
from bench.metrics.text.base import TextMetric
from bench.metrics.text.endings import endings
from bench.runs.record import Answers, Text

if TYPE_CHECKING:
    from bench.datasets.examples import Example
    from bench.forward.generation import Generated


def item_by_item(
    examples: Sequence[Example],
    answered: Answered,
    written: Sequence[Generated] | None,
    scores: Mapping[str, Score],
    metrics: Mapping[str, BaseMetric],
    keep_texts: bool,
) -> Answers | None:
    """Return scores, hashes and endings of what was answered; None where label indices say it all.

    Args:
        examples: the test split.
        answered: what the metrics score.
        written: what was written; None where nothing was.
        scores: by metric.
        metrics: by name.
        keep_texts: whether questions, references and answers are kept too.
    """
    items = {name: [round(one, 6) for one in each] for name, (_, each) in scores.items() if each}
    if not items and written is None:
        return None
    kept = Answers(ids=[example.id for example in examples], scores=items)
    if not written:
        return kept
    texts = [one.text for one in written]
    said = {
        name: metric.signature(answered.answers) for name, metric in metrics.items() if isinstance(metric, TextMetric)
    }
    return kept.model_copy(
        update={
            "hashes": [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts],
            "shares": endings(texts, [one.ended for one in written]),
            "signatures": {name: signature for name, signature in said.items() if signature},
            "texts": [
                Text(question=example.text, references=list(right), answer=text)
                for example, right, text in zip(examples, answered.answers, texts, strict=True)
            ]
            if keep_texts
            else [],
        }
    )
