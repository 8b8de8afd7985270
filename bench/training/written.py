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

    With ``keep_texts`` questions, references and answers are kept too; ``written`` is None where nothing was.
    """
    items = {name: [round(one, 6) for one in each] for name, (_, each) in scores.items() if each}
    if not items and written is None:
        return None
    kept = Answers(ids=[example.id for example in examples], scores=items)
    if not written:
        return kept
    texts = [one.text for one in written]
    scored = {name: metric for name, metric in metrics.items() if isinstance(metric, TextMetric)}
    return kept.model_copy(
        update={
            "hashes": [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts],
            "shares": endings(texts, [one.ended for one in written]),
            "signatures": {n: said for n, metric in scored.items() if (said := metric.signature(answered.answers))},
            "texts": [
                Text(question=example.text, references=list(right), answer=text)
                for example, right, text in zip(examples, answered.answers, texts, strict=True)
            ]
            if keep_texts
            else [],
        }
    )
