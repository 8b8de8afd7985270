"""A whole study against `Trainer.hyperparameter_search` with PEFT: the same trials, seeds and data order."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from peft import PromptTuningConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import DataCollatorForSeq2Seq, EvalPrediction, Trainer

import bench
from bench.methods import methods
from bench.runs.record import TrialRecord
from bench.runs.selection import best_trial
from bench.runs.store import RecordStore
from bench.training.batching import training_batches
from bench.training.evaluation import Scorer
from benchmarks.speed.peers import arguments, at_answer, collated, rows
from benchmarks.speed.workload import Ours, Work

VALIDATION = 48
DATA = ("trec6", {"train_size": 2000, "validation_size": VALIDATION, "test_size": 96})


def experiment(model: str, trials: int, steps: int, workers: int) -> dict[str, Any]:
    """Return the study as an experiment of the harness."""
    return {
        "name": "speed-study",
        "models": [model],
        "datasets": [dict([DATA])],
        "methods": [
            {
                "prompt_tuning": {
                    "init": "vocab",
                    "search": {
                        "learning_rate": {"low": 3e-3, "high": 3e-2},
                        "num_virtual_tokens": {"low": 8, "high": 100},
                    },
                }
            }
        ],
        "training": {
            "max_steps": steps,
            "batch_size": 16,
            "eval_steps": max(1, steps // 2),
            "lr_scheduler_type": "constant",
            "weight_decay": 0.0,
            "eval_batch_size": 16,
        },
        "study": {"trials": trials, "pruner": "median"},
        "finals": {"seeds": 0},
        "workers": workers,
    }


def study(model: str, trials: int, steps: int, workers: int) -> dict[str, Any]:
    """Time both sides, each with loading its model; the peer runs the configurations that our study asked for.

    Args:
        model: name of the base model.
        trials: trials of the study.
        steps: optimizer steps a trial.
        workers: of ours, sharing the threads that the peer has for itself; 1 runs in this process, as the peer does.
    """
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        engine = "inline" if workers == 1 else "processes"
        bench.run(experiment(model, trials, steps, workers), Path(folder) / "results", engine=engine)
        ours = time.perf_counter() - began
        records = sorted(RecordStore(Path(folder) / "results"), key=lambda record: record.spec.number)
    best = best_trial(records)
    assert best is not None
    assert best.objective is not None
    theirs, accuracy, pruned = _peer(model, records)
    products = _products(model, records)
    phases = ("load", "encode", "train", "measure", "validate", "save")
    return {
        "bound": products["theirs"] / products["ours"],
        "flops": products,
        "phases": {phase: sum(record.seconds.get(phase, 0.0) for record in records) for phase in phases},
        "virtual_tokens": [record.spec.method_options["num_virtual_tokens"] for record in records],
        "steps": [len(record.train_curve) for record in records],
        "ours": ours,
        "theirs": theirs,
        "median": theirs / ours,
        "best_accuracy_ours": best.objective,
        "best_accuracy_theirs": accuracy,
        "trials": len(records),
        "pruned_ours": sum(record.status == "pruned" for record in records),
        "pruned_theirs": pruned,
    }


def _products(model: str, records: list[TrialRecord]) -> dict[str, float]:
    """Return the floating-point operations of both sides' products in the trials that our study ran.

    Counted by torch for a step and a validation at the shortest and at the longest prompt; between them the products
    grow with the prompt's length, but for those of the attention, which are few.
    """
    lengths = [int(record.spec.method_options["num_virtual_tokens"]) for record in records]
    ends = sorted({min(lengths), max(lengths)})
    counts = [_products_at(model, length) for length in ends]
    total = {}
    for side in ("ours", "theirs"):
        steps, validations = (np.interp(lengths, ends, [count[side][i] for count in counts]) for i in (0, 1))
        total[side] = float(
            sum(
                len(record.train_curve) * step + len(record.validation_curve) * validation
                for record, step, validation in zip(records, steps, validations, strict=True)
            )
        )
    return total


def _products_at(model: str, length: int) -> dict[str, tuple[int, int]]:
    """Return the operations of a training step and of a validation, ours and theirs."""
    with Ours(Work(model, "prompt_tuning", {"num_virtual_tokens": length}), DATA) as ours:
        network = ours.peer_network()
        (pairs,) = ours.batches(1)
        held_out = ours.encoded(ours.splits.validation)
        scorer = Scorer(ours.tuned, ours.encoder, None, ours.work.batch_size)
        with FlopCounterMode(display=False) as step:
            ours.step(pairs)
        with FlopCounterMode(display=False) as their_step:
            network(**collated(ours.base.tokenizer, pairs)).loss.backward()
        # The counter follows modules by gradient hooks, which a forward pass without gradients has not.
        for parameter in (*ours.tuned.trainable().values(), *network.parameters()):
            parameter.requires_grad_(False)
        with FlopCounterMode(display=False) as validation:
            scorer.run(ours.splits.validation)
        with FlopCounterMode(display=False) as their_validation, torch.no_grad():
            for start in range(0, len(held_out), ours.work.batch_size):
                network(**collated(ours.base.tokenizer, held_out[start : start + ours.work.batch_size]))
    return {
        "ours": (step.get_total_flops(), validation.get_total_flops()),
        "theirs": (their_step.get_total_flops(), their_validation.get_total_flops()),
    }


class _Peer(Trainer):
    """Trainer on the data order of the trial that it runs."""

    order: list[int] = []

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self.order


def _peer(model: str, records: list[TrialRecord]) -> tuple[float, float, int]:
    """Run the trials of ``records`` by `Trainer.hyperparameter_search`; return seconds, best accuracy, pruned."""
    began = time.perf_counter()
    ours = Ours(Work(model, "prompt_tuning", {"num_virtual_tokens": 8}), DATA)
    first = records[0].spec
    splits, base = ours.splits, ours.base
    base.network.set_attn_implementation("sdpa")
    held_out = ours.encoded(splits.validation)
    right = [e.label for e in splits.validation]
    lengths = [len(ids) + len(target) for ids, target in ours.pairs]
    # Trainer hands the last evaluation to Optuna; ours is the best of a trial, so every one is kept here.
    accuracies: list[float] = []

    def score(found: EvalPrediction) -> dict[str, float]:
        accuracies.append(float((np.asarray(found.predictions).argmax(1) == np.array(right)).mean()))
        return {"accuracy": accuracies[-1]}

    def model_init(trial: optuna.Trial | None) -> Any:
        spec = records[trial.number if trial is not None else 0].spec
        _Peer.order = [
            i
            for batch in training_batches(
                lengths, first.training.batch_size, first.training.max_steps, spec.seed, first.training.group_by_length
            )
            for i in batch
        ]
        tuned = methods.build("prompt_tuning", spec.method_options, "peer").attach(base, splits, spec.seed)
        (prompt,) = tuned.trainable().values()
        peer = get_peft_model(
            base.network, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=prompt.shape[0])
        )
        with torch.no_grad():
            peer.prompt_encoder["default"].embedding.weight.copy_(prompt)
        return peer

    def space(trial: optuna.Trial) -> dict[str, float]:
        rate = records[trial.number].spec.training.learning_rate
        return {"learning_rate": trial.suggest_float("learning_rate", rate, rate)}

    with tempfile.TemporaryDirectory() as folder:
        settings = first.training
        storage = optuna.storages.InMemoryStorage()
        trainer = _Peer(
            model_init=model_init,
            args=arguments(
                settings,
                settings.max_steps,
                folder,
                per_device_eval_batch_size=settings.eval_batch_size,
                eval_strategy="steps",
                eval_steps=settings.eval_steps,
            ),
            train_dataset=rows(ours.pairs),
            eval_dataset=rows(held_out),
            data_collator=DataCollatorForSeq2Seq(base.tokenizer),
            compute_metrics=score,
            preprocess_logits_for_metrics=at_answer([ids[0] for ids in ours.encoder.label_ids]),
        )
        trainer.hyperparameter_search(
            hp_space=space,
            backend="optuna",
            direction="maximize",
            n_trials=len(records),
            compute_objective=lambda metrics: metrics["eval_accuracy"],
            pruner=optuna.pruners.MedianPruner(n_startup_trials=records[0].spec.cell.study.pruner_startup_trials),
            storage=storage,
            study_name="peer",
        )
        seconds = time.perf_counter() - began
        found = optuna.load_study(study_name="peer", storage=storage).trials
    pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in found)
    return seconds, max(accuracies), pruned
