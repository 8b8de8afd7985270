"""The contract of a method: a frozen configuration that attaches something trainable to a frozen model.

A method is two classes. `Method` is its configuration: what an experiment file may say, what a study
may vary. `TunedModel` is what `Method.attach` returns: the base model with the method in place. The
training loop speaks to nothing else and never asks which method it runs; what a method needs
differently is a hook here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import model_validator

from bench.core.config import Config, own_names
from bench.core.distributions import SearchSpace
from bench.core.errors import Infeasible
from bench.core.trust import Trusted
from bench.forward.batch import Batch

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.nn import Parameter
    from transformers import PreTrainedModel

    from bench.datasets.answers import Answer
    from bench.datasets.examples import Example
    from bench.datasets.splits import Splits
    from bench.forward.decoding import Decoding
    from bench.forward.generation import Generated, OnToken
    from bench.forward.pathway import Pathway
    from bench.forward.settings import Generate
    from bench.models.language_model import LanguageModel

WEIGHTS = "trained_weights.safetensors"
"""Where `TunedModel.save` writes, for what PEFT has no format."""


class ByLogits(Protocol):
    """Scores examples by the logits of the label words, through `TunedModel.logits`."""

    def __call__(self, examples: Sequence[Example], of_split: bool = True) -> np.ndarray:
        """Return a score for each example and label, [n, C].

        Args:
            examples: what to score.
            of_split: False for inputs of the method's own, such as those without content: they are no part of the
                split's loss and of its count of inputs that were cut.
        """


class ByGenerating(Protocol):
    """Answers examples in free text, through `TunedModel.generate`."""

    def __call__(self, examples: Sequence[Example]) -> list[Generated]:
        """Return an answer to each, as the data set's settings of generation say."""


class TunedModel:
    """A base model with a method attached; this class itself is the base model as it is.

    A method of one's own says in `trainable` what it trains, and in `logits` how the model runs with it. Counting,
    saving, loading, and putting back weights of the base model that were trained, follow from that.

    Args:
        base: the frozen base model; its weights are the same, bit for bit, after `detach`.
    """

    virtual_tokens: int = 0
    """Positions of the context that the method takes from the input."""

    def __init__(self, base: LanguageModel) -> None:
        from bench.methods.snapshot import WeightSnapshot

        self.base = base
        self.network: PreTrainedModel = base.network
        self._snapshot = WeightSnapshot(base)

    @cached_property
    def pathway(self) -> Pathway:
        """The fastest exact way through the network with the method in it."""
        from bench.forward.pathway import Pathway

        return Pathway.of(self.network)

    def trainable(self) -> dict[str, Parameter]:
        """Return the parameters to train, by name; empty for a method that does not train.

        A method that trains parameters of its own returns them with those of ``super().trainable()``: what is
        trainable in the network already, which is an encoder's classification head.
        """
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def learning_rates(self) -> Mapping[str, float]:
        """Return factors of the learning rate, by the names of `trainable`; what is not named has a factor of 1."""
        return {}

    def added_parameters(self) -> int:
        """Return how many parameters the method adds to those of the base model: what it trains beside the network."""
        trained = self.trainable()
        own = {id(p) for p in self.network.parameters()} if trained else set()
        return sum(p.numel() for p in trained.values() if id(p) not in own)

    def logits(self, batch: Batch) -> Tensor:
        """Return the next-token logits [N, V] at the batch's positions, in row-major order.

        An encoder has the logits [B, C] of its head over the labels instead.
        """
        return self.pathway.logits(batch)

    def decoding(self, batch: Batch) -> Decoding:
        """Begin the answers to a batch, of which every example's last position is asked for.

        A method with `logits` of its own overrides it where keys and values can be kept. Where it does not, the whole
        text is run again for every token, through its `logits`.
        """
        return self.pathway.decoding(batch)

    def generate(
        self,
        inputs: Sequence[Sequence[int]],
        settings: Generate,
        *,
        batch_size: int = 16,
        on_token: OnToken | None = None,
    ) -> list[Generated]:
        """Answer inputs in free text, in their order.

        Args:
            inputs: token ids of each, special tokens included.
            settings: when answers end and how tokens are chosen.
            batch_size: answers that grow together.
            on_token: called with the index of an input and the next token of its answer.

        Raises:
            BadInput: a stop text that no answer can hold; an input without tokens.
            Infeasible: an input and the longest answer do not fit; the model has a head over labels.
        """
        import torch

        from bench.forward.decoding import Recomputed
        from bench.forward.generation import generate

        if not self.base.kind.generates:
            raise Infeasible(f"{type(self.network).__name__} answers by a head over labels; it generates no text")
        context = self.base.context_length
        self.train(False)
        with torch.no_grad(), self.evaluating():
            return generate(
                self.decoding if self._decodes() else lambda batch: Recomputed(self.logits, batch),
                self.network,
                self.base.tokenizer,
                inputs,
                settings,
                batch_size=batch_size,
                room=None if context is None else context - self.virtual_tokens,
                on_token=on_token,
            )

    def _decodes(self) -> bool:
        """Whether `decoding` belongs to `logits`: no subclass has changed these alone."""
        defined = {
            name: next(cls for cls in type(self).__mro__ if name in vars(cls)) for name in ("logits", "decoding")
        }
        return issubclass(defined["decoding"], defined["logits"])

    def score_labels(self, examples: Sequence[Example], by_logits: ByLogits) -> np.ndarray:
        """Return a score for each example and label or option, [n, C]; the highest is the prediction.

        A method that trains calls ``by_logits`` for every example of the split: the validation loss comes of it.

        Args:
            examples: the examples of a split.
            by_logits: scores them by the logits of the label words.
        """
        return by_logits(examples)

    def write(self, examples: Sequence[Example], by_generating: ByGenerating) -> list[Generated]:
        """Return an answer in free text to each example.

        Args:
            examples: the examples of a split.
            by_generating: answers them by the model.
        """
        return by_generating(examples)

    def train(self, mode: bool) -> None:
        """Switch dropout on or off."""
        self.network.train(mode)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Surround the evaluation of a split, during which no weight changes: the place to compute once."""
        yield

    def set_dataset(self, dataset: Splits) -> None:
        """Get ready to answer another data set, by its template and label words, with nothing trained further."""

    def before_training(self, steps: int) -> None:
        """Run once before the first step of a training of ``steps`` optimizer steps."""

    def before_step(self, step: int) -> None:
        """Run before the forward pass of optimizer step ``step`` (from 1)."""

    def penalty(self) -> Tensor | None:
        """Return a scalar to add to the loss of the coming step, such as a regularisation, or None."""
        return None

    def after_step(self, step: int) -> None:
        """Run after the optimizer has stepped, while the gradients are still there."""

    def save(self, folder: Path) -> None:
        """Write what is trained into ``folder``; overridden where PEFT has a format for it."""
        from safetensors.torch import save_file

        if trained := self.trainable():
            folder.mkdir(parents=True, exist_ok=True)
            weights = {name: p.detach().cpu().contiguous() for name, p in trained.items()}
            save_file(weights, folder / WEIGHTS, {"format": "pt"})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote, in place.

        Raises:
            ValueError: the file holds other weights.
        """
        from safetensors.torch import load_file

        if trained := self.trainable():
            saved = load_file(folder / WEIGHTS)
            if odd := sorted(saved.keys() ^ trained.keys()):
                raise ValueError(f"{folder}: the saved weights are other ones; {odd[0]} does not match")
            for name, parameter in trained.items():
                parameter.data.copy_(saved[name])

    def keep_trained_weights(self) -> None:
        """Keep the base model's own weights that are going to be trained, for `detach`; called once all is attached."""
        self._snapshot.keep(self.trainable().values())

    def detach(self) -> None:
        """Put the base model back as it was: weights bit for bit, frozen, without gradients, in eval mode."""
        network = self.base.network
        network.requires_grad_(False)
        network.zero_grad(set_to_none=True)
        network.eval()
        self._snapshot.restore()
        self.base.release()

    def notes(self) -> Mapping[str, int | float | str | bool | None]:
        """Return what a reader of the record should know, such as which way the forward pass took."""
        return {"forward": self.pathway.name}

    def measurements(self) -> Mapping[str, float]:
        """Return further columns for the tables."""
        return {}


class Method(Config):
    """The configuration of a method; its fields are what an experiment file may say."""

    version: ClassVar[int] = 1
    """Raise it when results change: earlier trials are then stale."""
    title: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    uses_model: ClassVar[bool] = True
    """False for a baseline without a language model; it then runs once, not once a model."""
    trains: ClassVar[bool] = True
    """False for what takes no optimizer steps, such as a hard prompt: it has no part in equal budgets of training."""
    stochastic: ClassVar[bool] = True
    """False if no seed changes the result: one final is enough."""
    training_defaults: ClassVar[Mapping[str, Any]] = {}
    """Training settings that suit this method; an experiment's own settings win."""
    when_to_use: ClassVar[str] = ""
    """What it is the right choice for; `bench show method` and its page on the site say so."""
    traps: ClassVar[tuple[str, ...]] = ()
    """What makes its results mislead or its training fail, a sentence or two each."""

    @model_validator(mode="before")
    @classmethod
    def _own_names(cls, data: Any) -> Any:
        """Take PEFT's names where a field has one (see `bench.core.config.Alias`)."""
        return own_names(cls, data) if isinstance(data, Mapping) else data

    def options(self) -> dict[str, Any]:
        """Return the method's options by name, those with default values too: what a study can be told to vary."""
        return self.model_dump()

    def trusts(self) -> Iterable[Trusted]:
        """Return what it trusts besides the base model and the data."""
        return ()

    def search_space(self) -> SearchSpace:
        """Return what a study may vary, fields of the method or of `Training`, and over which range."""
        return {}

    def refuses(self, answer: Answer) -> str | None:
        """Return why the method cannot give answers of a kind; None if it can. Known before any model is loaded."""
        return None

    @abstractmethod
    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Attach the method to a base model.

        Args:
            base: the base model; None if `uses_model` is False. An encoder comes with a trainable head over the
                labels, among the network's parameters.
            dataset: the splits; a method may read train and the label words, nothing else.
            seed: seeds whatever is drawn.

        Raises:
            Infeasible: this model cannot run this configuration.
        """
        raise NotImplementedError
