"""What is measured, with the ratio that is to be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.speed.measure import curve, evaluation, generation, live_bytes, training, utilisation
from benchmarks.speed.profile import profile
from benchmarks.speed.workers import throughput
from benchmarks.speed.workload import Work

SMOL, GEMMA = "smollm2-135m", "gemma3-270m"
LENGTHS = (1, 5, 20, 50, 100, 150)
BATCHES = (4, 8, 16, 32)


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    title: str
    run: Callable[[], dict[str, Any]]
    goal: float | None = None
    """What is to be reached: times faster, or a share."""
    column: str = "median"
    """The entry of the result that is held against the goal."""
    at_most: bool = False


def prompt(model: str, length: int, batch_size: int = 16) -> Work:
    """Return prompt tuning with ``length`` virtual tokens."""
    # Gemma amplifies the rounding of float32 a thousandfold: PEFT's own gradient is 3e-4 away from that in float64,
    # ours 1e-3, and in float64 both agree. Adam makes whole steps of it, so at an ordinary rate the losses part.
    rate = 1e-7 if model == GEMMA else 1e-3
    return Work(model, "prompt_tuning", {"num_virtual_tokens": length}, batch_size, rate)


def cases(steps: int, answers: int) -> list[Case]:
    """Return everything that is measured, with ``steps`` counted steps and ``answers`` written answers a case."""

    def step(name: str, work: Work, goal: float | None, peer: str = "trainer", count: int = steps) -> Case:
        what = {
            "trainer": "PEFT + Trainer",
            "loop": "PEFT + the plain loop, padded to 64",
            "labelled": "PEFT with the head at labelled positions alone, as TRL has it",
        }[peer]
        return Case(name, f"training step, {work.title}, against {what}", partial(training, work, peer, count), goal)

    few = max(2, steps // 2)
    works = {
        "smollm2-p20": (prompt(SMOL, 20), 3.0),
        "smollm2-p100": (prompt(SMOL, 100), 6.3),
        "smollm2-lora": (Work(SMOL, "lora", learning_rate=1e-4), 1.8),
        "smollm2-full": (Work(SMOL, "full_fine_tuning", learning_rate=1e-6), 1.8),
        "gemma3-p20": (prompt(GEMMA, 20), 6.0),
        "gemma3-p100": (prompt(GEMMA, 100), 12.0),
        "gemma3-lora": (Work(GEMMA, "lora", learning_rate=1e-7), 3.5),
        "gemma3-full": (Work(GEMMA, "full_fine_tuning", learning_rate=1e-9), 3.5),
    }
    found = [
        *(
            step(f"step-{name}", work, goal, count=steps if work.model == SMOL else few)
            for name, (work, goal) in works.items()
        ),
        *(step(f"step-smollm2-p{length}-loop", prompt(SMOL, length), None, "loop") for length in (20, 100)),
        *(
            step(f"step-{name}-labelled", work, None, "labelled")
            for name, (work, _) in works.items()
            if work.model == SMOL
        ),
        Case(
            "evaluation-smollm2-p100",
            f"evaluation of 96 questions, {prompt(SMOL, 100).title}, against Trainer.predict",
            partial(evaluation, prompt(SMOL, 100), few),
            6.0,
        ),
        *(
            Case(
                f"generate-smollm2-p{length}",
                f"{answers} answers of 64 tokens, {prompt(SMOL, length).title}, against PeftModel.generate",
                partial(generation, prompt(SMOL, length), answers, 64),
                1.0,
            )
            for length in (20, 100)
        ),
        Case(
            "memory-smollm2-p100",
            f"peak live tensor bytes of a step, {prompt(SMOL, 100).title}, share of PEFT's",
            partial(live_bytes, prompt(SMOL, 100)),
            0.35,
            "share",
            at_most=True,
        ),
        Case(
            "flops-smollm2-p20",
            f"useful FLOPs a second over the machine's peak, {prompt(SMOL, 20).title}",
            partial(utilisation, prompt(SMOL, 20), steps),
            0.75,
            "share",
        ),
    ]
    found += [
        Case(f"profile-{name.removeprefix('smollm2-')}", work.title, partial(profile, work, few), column="bound")
        for name, (work, _) in works.items()
    ]
    found.append(
        Case(
            "workers",
            f"steps a second of two workers with a thread each, {prompt(SMOL, 20).title}, against one with two",
            partial(throughput, SMOL, few + 1),
        )
    )
    lengths, batches = {p: prompt(SMOL, p) for p in LENGTHS}, {b: prompt(SMOL, 20, b) for b in BATCHES}
    found += [
        Case("curve-length", "training step by number of virtual tokens", partial(curve, lengths, few)),
        Case("curve-batch", "training step by batch size", partial(curve, batches, few)),
    ]
    return found


def study_cases(trials: int, steps: int) -> list[Case]:
    """Return the comparison of whole studies, with one worker of ours and with two."""

    def run(workers: int) -> dict[str, Any]:
        from benchmarks.speed.study import study

        return study(SMOL, trials, steps, workers)

    what = f"a study, {trials} trials of {steps} steps, {SMOL}, P from 8 to 100, against Trainer.hyperparameter_search"
    words = {1: "one worker", 2: "two workers"}
    return [
        Case(f"study-smollm2-{workers}", f"{what}, {words[workers]}", partial(run, workers), 6.0) for workers in words
    ]
