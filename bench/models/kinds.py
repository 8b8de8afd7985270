"""What kind of network a model is: the one place that says what follows from it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")
"""Where a configuration says how many positions a model can take."""
RELATIVE = "relative_attention_num_buckets"
"""What one has whose positions are relative: T5's ``n_positions`` is a memory of its training, not a limit."""


class Kind(StrEnum):
    """How a base model reads a text and answers."""

    CAUSAL = "causal"
    """A decoder: the answer follows the text in the same sequence."""
    SEQ2SEQ = "seq2seq"
    """An encoder-decoder: the answer stands alone, in the decoder."""
    ENCODER = "encoder"
    """A bidirectional encoder: it answers by a classification head over the labels, which has to be trained."""

    @classmethod
    def of(cls, config: PreTrainedConfig) -> Kind:
        """Return the kind of a network by its configuration.

        An encoder is what transformers can train as a masked language model and classify with, unless its
        configuration makes a decoder of it (``is_decoder``), as some BERTs are.
        """
        from transformers.models.auto import modeling_auto

        if config.is_encoder_decoder:
            return cls.SEQ2SEQ
        masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
        classifying = modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
        both_ways = config.model_type in masked and config.model_type in classifying
        return cls.ENCODER if both_ways and not getattr(config, "is_decoder", False) else cls.CAUSAL

    @property
    def auto_class_name(self) -> str:
        """The class of transformers that loads it."""
        return {
            Kind.CAUSAL: "AutoModelForCausalLM",
            Kind.SEQ2SEQ: "AutoModelForSeq2SeqLM",
            Kind.ENCODER: "AutoModelForSequenceClassification",
        }[self]

    @property
    def auto_class(self) -> Any:
        """The same, itself."""
        import transformers

        return getattr(transformers, self.auto_class_name)

    @property
    def task_type(self) -> str:
        """What peft calls it."""
        return {Kind.CAUSAL: "CAUSAL_LM", Kind.SEQ2SEQ: "SEQ_2_SEQ_LM", Kind.ENCODER: "SEQ_CLS"}[self]

    @property
    def continues(self) -> bool:
        """Whether the answer follows the text in the same sequence."""
        return self is Kind.CAUSAL

    @property
    def generates(self) -> bool:
        """Whether it answers with words of its own, and so without any training too."""
        return self is not Kind.ENCODER
