"""Ready templates for tables of instructions and of questions: `Table.format`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

FormatName = Literal["instruction", "alpaca", "chat", "question_answer"]


@dataclass(frozen=True)
class Format:
    """What the columns of a known kind of table become."""

    columns: tuple[str, ...]
    """The columns that have to be there."""
    optional: tuple[str, ...]
    """Those that may be missing or empty."""
    request: Callable[[Mapping[str, str]], str]
    """What stands for ``{request}`` in the template."""
    template: str
    answer_column: str
    chat: bool = False
    """Whether the text stands in the tokenizer's chat template."""


def _instruction(fields: Mapping[str, str]) -> str:
    return "\n".join([fields["instruction"], fields["input"]]).strip()


def _alpaca(fields: Mapping[str, str]) -> str:
    further = fields["input"].strip()
    context = ", paired with an input that provides further context" if further else ""
    shown = f"\n\n### Input:\n{fields['input']}" if further else ""
    return (
        f"Below is an instruction that describes a task{context}. Write a response that appropriately completes the "
        f"request.\n\n### Instruction:\n{fields['instruction']}{shown}"
    )


def _question(fields: Mapping[str, str]) -> str:
    context = fields["context"].strip()
    return f"{context}\nQuestion: {fields['question']}" if context else f"Question: {fields['question']}"


FORMATS: dict[FormatName, Format] = {
    # As guides to prompt tuning write it: one line for an instruction without input.
    "instruction": Format(("instruction",), ("input",), _instruction, "Human: {request}\n\nAssistant: ", "output"),
    # The wording of Stanford Alpaca (Taori et al., 2023), with and without input.
    "alpaca": Format(("instruction",), ("input",), _alpaca, "{request}\n\n### Response:\n", "output"),
    "chat": Format(("instruction",), ("input",), _instruction, "{request}", "output", chat=True),
    "question_answer": Format(("question",), ("context",), _question, "{request}\nAnswer:", "answers"),
}
