"""The other sides, as their own documentation runs them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from torch.nn.functional import cross_entropy, pad
from transformers import (
    DataCollatorForSeq2Seq,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from bench.experiment.settings import Training
from bench.training.answers import Pair

Turn = Callable[[int], None]
"""Called after each of a peer's steps, outside its time: our side's turn on the same batch."""


def rows(pairs: Sequence[Pair]) -> list[dict[str, list[int]]]:
    """Return examples as a causal model of transformers is trained on them: labels where the input ends."""
    return [
        {
            "input_ids": [*ids, *target],
            "attention_mask": [1] * (len(ids) + len(target)),
            "labels": [-100] * len(ids) + list(target),
        }
        for ids, target in pairs
    ]


def collated(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair]) -> Any:
    """Return a batch of examples, padded to the longest."""
    return DataCollatorForSeq2Seq(tokenizer)(rows(pairs))


def arguments(settings: Training, steps: int, folder: str, **more: Any) -> TrainingArguments:
    """Return Trainer's arguments for our settings; what we do not set stays as Trainer has it."""
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=settings.batch_size,
        max_steps=steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm or 0.0,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        **more,
    )


class _InOrder(Trainer):
    """Trainer, its own loop and collation, on batches in the order given, keeping each step's loss."""

    losses: list[float]

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler:
        return torch.utils.data.SequentialSampler(train_dataset or self.train_dataset)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        self.losses.append(float(loss))
        return loss


class _Clock(TrainerCallback):
    def __init__(self, turn: Turn) -> None:
        self.seconds: list[float] = []
        self._turn = turn

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds.append(time.perf_counter() - self._began)
        self._turn(len(self.seconds) - 1)


def with_trainer(
    network: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    batches: Sequence[Sequence[Pair]],
    settings: Training,
    turn: Turn,
) -> tuple[list[float], list[float]]:
    """Train with PEFT and Trainer, dynamic padding; return losses and seconds a step."""
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock(turn)
        trainer = _InOrder(
            model=network,
            args=arguments(settings, len(batches), folder),
            train_dataset=[row for pairs in batches for row in rows(pairs)],
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            callbacks=[clock],
        )
        trainer.losses = []
        trainer.train()
    return trainer.losses, clock.seconds


def with_plain_loop(
    network: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    batches: Sequence[Sequence[Pair]],
    settings: Training,
    turn: Turn,
    length: int | None = 64,
    labelled_head: bool = False,
) -> tuple[list[float], list[float]]:
    """Train with the loop of PEFT's prompt-tuning guide, all examples padded to ``length``; see `plain_steps`."""
    losses, seconds = [], []
    for index, (loss, took) in enumerate(plain_steps(network, tokenizer, batches, settings, length, labelled_head)):
        losses.append(loss)
        seconds.append(took)
        turn(index)
    return losses, seconds


def plain_steps(
    network: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    batches: Sequence[Sequence[Pair]],
    settings: Training,
    length: int | None = None,
    labelled_head: bool = False,
) -> Iterator[tuple[float, float]]:
    """Train with the loop of PEFT's prompt-tuning guide; yield loss and seconds of each step.

    Args:
        network: PEFT's model.
        tokenizer: pads.
        batches: one a step.
        settings: learning rate, weight decay, clipping.
        length: all examples are padded to it; None: to the longest of their batch.
        labelled_head: whether the head is run at labelled positions alone, as TRL's ``SFTTrainer`` does.
    """
    loss_of = _at_labels if labelled_head else _of_all
    network.train()
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    collate = DataCollatorForSeq2Seq(tokenizer, padding="max_length" if length else True, max_length=length)
    for pairs in batches:
        batch = collate(rows(pairs))
        began = time.perf_counter()
        loss = loss_of(network, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm or float("inf"))
        optimizer.step()
        optimizer.zero_grad()
        took = time.perf_counter() - began
        yield loss.item(), took


def _of_all(network: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    loss: torch.Tensor = network(**batch).loss
    return loss


def _at_labels(network: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the same loss with logits of labelled positions alone."""
    given = dict(batch)
    labels = given.pop("labels")
    asked = pad(labels[:, 1:] != -100, (0, 1))

    def chosen(head: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        (hidden,) = arguments  # of virtual tokens too, which come first
        return (hidden[pad(asked, (hidden.shape[1] - asked.shape[1], 0))],)

    whole = network.get_base_model() if isinstance(network, PeftModel) else network
    hook = whole.get_output_embeddings().register_forward_pre_hook(chosen)
    try:
        return cross_entropy(network(**given).logits.float(), labels[:, 1:][labels[:, 1:] != -100])
    finally:
        hook.remove()


def at_answer(words: Sequence[int]) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return what Trainer keeps of logits [B, L, V] to classify: those of one-token label words, [B, C]."""
    places = torch.tensor(words)

    def chosen(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        # The label is the last token that is asked for, and its logits stand one before; virtual tokens come first.
        asked = (labels != -100).int().argmax(1) - 1 + logits.shape[1] - labels.shape[1]
        return logits[torch.arange(len(logits)), asked][:, places]

    return chosen


def predict(
    network: nn.Module, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair], words: Sequence[int], batch_size: int
) -> tuple[list[int], float]:
    """Classify with Trainer.predict by the logits of one-token label words; return labels and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=network,
            args=TrainingArguments(
                output_dir=folder,
                per_device_eval_batch_size=batch_size,
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
                dataloader_pin_memory=False,
            ),
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            preprocess_logits_for_metrics=at_answer(words),
        )
        dataset: Any = rows(pairs)
        began = time.perf_counter()
        scores = trainer.predict(dataset).predictions
        return scores.argmax(1).tolist(), time.perf_counter() - began


def generate(
    network: Any, tokenizer: PreTrainedTokenizerBase, inputs: Sequence[Sequence[int]], tokens: int
) -> tuple[list[list[int]], float]:
    """Answer inputs of one length by ``PeftModel.generate``, greedily; return new tokens and seconds."""
    ids = torch.tensor(inputs)
    began = time.perf_counter()
    with torch.no_grad():
        made = network.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )
    seconds = time.perf_counter() - began
    ends = network.generation_config.eos_token_id
    stops = set(ends if isinstance(ends, list) else [ends])
    answers = []
    for new in made[:, ids.shape[1] :].tolist():
        end = next((place + 1 for place, token in enumerate(new) if token in stops), len(new))
        answers.append(new[:end])
    return answers, seconds
