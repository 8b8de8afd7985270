"""Prompt tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from bench.core.config import Alias
from bench.core.distributions import Float, Int, SearchSpace
from bench.core.errors import Infeasible
from bench.methods.base import Method, TunedModel

if TYPE_CHECKING:
    from torch import Tensor

    from bench.datasets.answers import Answer
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel

PEFT_INIT = Alias(
    "prompt_tuning_init",
    {
        "RANDOM": {"init": "random", "init_scale": "normal"},
        "TEXT": {"init": "text", "init_special_tokens": True},
        "SAMPLE_VOCAB": {"init": "vocab", "init_vocab": "all"},
    },
)
"""PEFT's words for where a prompt begins, and what they come to here."""


def some_text(text: str | None) -> str | None:
    """Refuse an initial text without a word."""
    if text is not None and not text.strip():
        raise ValueError("the initial text is empty; give a text, or null to name the label words")
    return text


class PromptTuning(Method):
    """Prompt tuning: P trainable input embeddings before a frozen model (Lester et al., 2021)."""

    title = "Prompt tuning"
    citation = (
        "Lester, Al-Rfou, Constant: The Power of Scale for Parameter-Efficient Prompt Tuning. EMNLP 2021. "
        "arXiv:2104.08691"
    )
    training_defaults = {"learning_rate": 3e-2}
    when_to_use = (
        "Where one frozen model serves many tasks: a task is P rows of embeddings, some kilobytes, and inputs of "
        "several tasks can share a batch. In Lester et al. it meets full fine-tuning at ten billion parameters, "
        "and stays below it on smaller models."
    )
    traps = (
        "Its learning rate is far above that of other methods (0.03 here; 0.3 with Adafactor in the paper). At a "
        "rate that suits LoRA it hardly moves: search it.",
        "It learns slowly: the paper trains for 30,000 steps. After a few hundred a comparison says how fast "
        "methods start.",
        "init_scale: normal, which is PEFT's RANDOM, begins with rows many times as long as the vocabulary's "
        "embeddings.",
        "Virtual tokens take room in the context: where it is short, long inputs are cut. The report counts them.",
    )

    init: Annotated[Literal["random", "text", "vocab", "labels"], PEFT_INIT] = "random"
    """random: drawn as `init_scale` says; text: the embeddings of `init_text`; vocab: embeddings of tokens drawn from
    the vocabulary; labels: the mean embedding of each label word's tokens, then vocab (section 3.2 of the paper).
    PEFT's words RANDOM, TEXT and SAMPLE_VOCAB mean what they mean there: `init_scale: normal`,
    `init_special_tokens: true` and `init_vocab: all` come with them."""
    init_text: Annotated[str | None, Alias("prompt_tuning_init_text")] = None
    """Text for `init: text`, trimmed or repeated to P tokens; null names the label words."""
    init_special_tokens: bool = False
    """Tokenise `init_text` with the special tokens that the tokenizer puts around a text, as peft does."""
    init_scale: Literal["uniform", "normal", "vocab_norm"] = "uniform"
    """For `init: random`. uniform: in [-0.5, 0.5], as in the paper; normal: variance 1, as peft's RANDOM; vocab_norm:
    random directions, as long as the vocabulary's embeddings are on average."""
    init_vocab: Literal["frequent", "all"] = "frequent"
    """For `init: vocab` and `labels`: draw from the 5,000 most frequent tokens, as in the paper, or from all."""
    num_virtual_tokens: int = Field(20, gt=0)
    """P, the number of virtual tokens."""
    num_decoder_virtual_tokens: int = Field(0, ge=0)
    """Further virtual tokens before the decoder's input; for encoder-decoders only. PEFT reads a saved prompt that has
    such as one for the encoder alone, which gives other answers."""

    _some_text = field_validator("init_text")(some_text)

    def search_space(self) -> SearchSpace:
        """Learning rate and P; the paper goes from 1 to 150 tokens."""
        return {
            "learning_rate": Float(low=3e-3, high=3e-1, log=True),
            "num_virtual_tokens": Int(low=5, high=100, log=True),
        }

    def refuses(self, answer: Answer) -> str | None:
        """Refuse to begin from label words where there are none."""
        if self.init == "labels" and not answer.same_for_all:
            return f"init: labels takes label words, and the answers are {answer.title}; take init: text"
        return None

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Draw the initial prompt and put it before the model's input."""
        from bench.methods.tuned.prompt_tuning import DecoderPrompt, SoftPrompt

        if not self.num_decoder_virtual_tokens:
            return SoftPrompt(base, self.initial_prompt(base, dataset, seed))
        if not base.network.config.is_encoder_decoder:
            raise Infeasible("num_decoder_virtual_tokens: this is no encoder-decoder; use num_virtual_tokens alone")
        return DecoderPrompt(base, self.initial_prompt(base, dataset, seed), self.num_decoder_virtual_tokens)

    def initial_prompt(self, base: LanguageModel, dataset: Splits, seed: int) -> Tensor:
        """Draw the initial prompt [P, E], a decoder's virtual tokens last."""
        import torch

        from bench.methods import initial_prompt as begin

        length = self.num_virtual_tokens + self.num_decoder_virtual_tokens
        generator = torch.Generator().manual_seed(seed)
        if self.init == "random":
            return begin.random_rows(base, self.init_scale, length, generator)
        if self.init == "text":
            ids = begin.initial_tokens(base, dataset, self.init_text, self.init_special_tokens, length)
            return begin.embed(base, ids)
        prompt = begin.embed(base, begin.vocabulary_tokens(base, self.init_vocab, length, generator))
        if self.init == "labels":
            for row, word in zip(prompt, dataset.labels, strict=False):
                row[:] = begin.embed(base, begin.label_ids(base, dataset, word)).mean(0)
        return prompt
