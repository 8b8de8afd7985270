"""First sentence: what the input begins with, as the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.methods.base import ByGenerating, TunedModel
from bench.methods.baseline import Baseline, WithoutModel

if TYPE_CHECKING:
    from bench.datasets.answers import Answer
    from bench.datasets.examples import Example
    from bench.datasets.splits import Splits
    from bench.forward.generation import Generated
    from bench.models.language_model import LanguageModel

_SENTENCE = re.compile(r"\s*(.+?(?:[.!?](?=\s|$)|[。！？]|(?=\n)|$))", re.DOTALL)  # noqa: RUF001


class FirstSentence(WithoutModel):
    """Always the first sentence of what the template is filled with; no language model.

    A sentence ends at a full stop, a question or an exclamation mark (those of Chinese too), or at the end of a line.
    """

    title = "First sentence"
    citation = "the lead baseline of summarisation: Nenkova, Automatic Text Summarization of Newswire, AAAI 2005"
    when_to_use = "Beside every summary of a text: newspapers say the most important thing first."
    traps = (
        "It knows nothing of how answers look: on anything but summaries it is easy to beat.",
        "A full stop behind an abbreviation ends its sentence.",
    )

    def refuses(self, answer: Answer) -> str | None:
        """Refuse what is not answered in free text."""
        return None if answer.writes else f"first_sentence writes free text, and the answers are {answer.title}"

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Learn nothing but the template."""
        return Leading(dataset.template)


class Leading(Baseline):
    """Answers with the first sentence of an input."""

    def __init__(self, template: str) -> None:
        super().__init__()
        self._before, self._behind = template.partition("{")[0], template.rpartition("}")[2]

    def write(self, examples: Sequence[Example], by_generating: ByGenerating) -> list[Generated]:
        """Return the first sentence of each input, without the template around it."""
        from bench.forward.generation import Generated

        inner = [one.text.removeprefix(self._before).removesuffix(self._behind) for one in examples]
        found = [_SENTENCE.match(text) for text in inner]
        return [Generated((), one.group(1) if one else "", "end") for one in found]
