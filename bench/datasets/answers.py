"""What an answer is: one of the data set's label words, one of a row's options, or free text.

What a model is trained to say, and which metrics may score it, follow from that. A data set of a plug-in may answer in
a kind of its own: a subclass of `Answer` that its `answer` returns.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bench.core.config import Config
from bench.core.entries import Entry
from bench.forward.settings import Generate

if TYPE_CHECKING:
    from bench.datasets.examples import Example
    from bench.metrics.base import Scored


class Answer(Config):
    """A kind of answer."""

    title: ClassVar[str]
    """What messages call such answers."""
    scored: ClassVar[tuple[Scored, ...]]
    """What a metric of such answers may score."""
    metrics: ClassVar[tuple[str, ...]]
    """The metrics where a data set names none."""
    same_for_all: ClassVar[bool] = False
    """Whether what may be answered is the same for every row."""
    writes: ClassVar[bool] = False
    """Whether the answer is a text, whose end the model says by its end token, and not one of several candidates."""

    loss_on: Literal["answer", "all"] = "answer"
    """Which tokens are trained on: those of the answer, or those of what stands before it too."""
    max_tokens: int | None = None
    """Tokens of the longest answer that is trained on; a longer one loses its end. Null: any that fits."""
    chat: bool = False
    """Whether the text stands in the tokenizer's chat template, as the user's turn."""
    generate: Generate = Generate()
    """How answers are written, where a metric asks for them."""

    def metrics_with(self, asked: Sequence[Entry]) -> tuple[Entry, ...]:
        """Return the metrics of a data set that names these; the first is what studies optimise."""
        return tuple(asked or map(Entry.model_validate, self.metrics))

    @abstractmethod
    def candidates(self, example: Example, labels: Sequence[str]) -> Sequence[str]:
        """Return the texts whose likelihood is asked for; the right one is at ``example.label``."""
        raise NotImplementedError

    def references(self, example: Example, labels: Sequence[str]) -> Sequence[str]:
        """Return the right answer in words, or several of them."""
        return (self.candidates(example, labels)[example.label],)

    def choices(self, examples: Sequence[Example], labels: Sequence[str]) -> tuple[str, ...]:
        """Return names of what may be chosen, in the order of the labels' indices; none where nothing is chosen."""
        return ()

    def asked(self, example: Example) -> str:
        """Return what makes two examples one and the same question."""
        return example.text

    def merged(self, same: Sequence[Example]) -> Example | None:
        """Return the one example that stands for several of the same question, or None if they contradict each other.

        Whichever of two labels stayed, a model would be trained on or tested against an answer that may be wrong.
        """
        return same[0] if all(one.label == same[0].label for one in same) else None


class LabelWord(Answer):
    """One of a few words, the same for every row."""

    title: ClassVar[str] = "label words"
    scored: ClassVar[tuple[Scored, ...]] = ("labels", "likelihood")
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")
    same_for_all: ClassVar[bool] = True

    def candidates(self, example: Example, labels: Sequence[str]) -> Sequence[str]:
        """Return the label words."""
        return labels

    def choices(self, examples: Sequence[Example], labels: Sequence[str]) -> tuple[str, ...]:
        """Return the label words."""
        return tuple(labels)


class Option(Answer):
    """One of the options of its row, chosen by the mean log-likelihood of its tokens.

    Source: Brown et al. (2020), Language models are few-shot learners, section 2.4 (normalised by length).
    """

    title: ClassVar[str] = "options of each row"
    scored: ClassVar[tuple[Scored, ...]] = ("labels", "likelihood")
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "nll")

    def candidates(self, example: Example, labels: Sequence[str]) -> Sequence[str]:
        """Return the row's options."""
        return example.answers

    def choices(self, examples: Sequence[Example], labels: Sequence[str]) -> tuple[str, ...]:
        """Return the options' places, from 1."""
        return tuple(str(place) for place in range(1, 1 + max((len(one.answers) for one in examples), default=0)))

    def asked(self, example: Example) -> str:
        """Return the text with its options: another choice is another question."""
        return "\n".join([example.text, *example.answers])


class FreeText(Answer):
    """A text. Several references are several right answers; the first is what a model is trained to write."""

    title: ClassVar[str] = "free text"
    scored: ClassVar[tuple[Scored, ...]] = ("likelihood", "text")
    metrics: ClassVar[tuple[str, ...]] = ("nll", "f1_squad")
    writes: ClassVar[bool] = True

    def metrics_with(self, asked: Sequence[Entry]) -> tuple[Entry, ...]:
        """Return them with the likelihood first, unless it is named: it is cheap, and varies less than what is written.

        A study optimises a metric of written text where ``nll`` is named behind it.
        """
        given = super().metrics_with(asked)
        named = any(entry.name in ("nll", "bits_per_byte") for entry in given)
        return given if named else (Entry.model_validate("nll"), *given)

    def candidates(self, example: Example, labels: Sequence[str]) -> Sequence[str]:
        """Return the first reference."""
        return example.answers[:1]

    def references(self, example: Example, labels: Sequence[str]) -> Sequence[str]:
        """Return all references."""
        return example.answers

    def merged(self, same: Sequence[Example]) -> Example:
        """Return the question with the references of all its rows."""
        return replace(same[0], answers=tuple(dict.fromkeys(text for one in same for text in one.answers)))


class WrittenAnswers(Config):
    """The options of a data set whose answers are free text."""

    loss_on: Literal["answer", "all"] = "answer"
    """Which tokens are trained on: those of the answer and its end, or those of what stands before it too."""
    max_answer_tokens: int | None = Field(None, gt=1)
    """Tokens of the longest answer that is trained on, its end token among them; a longer one loses its end, and is
    counted. Null: any that fits."""
    generate: Generate = Generate()
    """How answers are written: ``max_new_tokens``, ``stop``, ``temperature``, ``top_p``, ``seed``."""

    def free_text(self, chat: bool = False) -> FreeText:
        """Return the kind of answer that these options describe."""
        return FreeText(loss_on=self.loss_on, max_tokens=self.max_answer_tokens, generate=self.generate, chat=chat)


def by_first_line(*names: str) -> tuple[Entry, ...]:
    """Return ``nll`` and the metrics named, over the first line that is not blank.

    A model that was not trained on a data set goes on behind its answer, or begins with an empty line.
    """
    return (
        Entry.model_validate("nll"),
        *(Entry.model_validate({name: {"extract": "first_line"}}) for name in names),
    )
