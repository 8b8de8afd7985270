"""One trial, from spec to record."""

from __future__ import annotations

import gc
import math
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import set_seed

from bench.core.errors import BenchError, Infeasible
from bench.core.plugins import load_plugins
from bench.experiment.settings import Training
from bench.forward.checkpointing import checkpointed
from bench.methods import methods
from bench.methods.attaching import attach
from bench.methods.base import TunedModel
from bench.models.conversion import quiet
from bench.models.language_model import LanguageModel
from bench.runs.record import Evaluated, Parameters, Status, TransferTest, TrialRecord
from bench.runs.spec import TrialSpec
from bench.training.evaluation import Pass
from bench.training.flops import Flops
from bench.training.loop import Hooks, Outcome, Pruned, train
from bench.training.memory import Meters
from bench.training.provenance import provenance
from bench.training.session import Session
from bench.training.step import Diverged
from bench.training.switching import measure_switch
from bench.training.transfer import HeadMismatch, Trained, build_metrics, check_heads, test_on


class Listener(Protocol):
    """Whoever watches a trial: the engine, which speaks for the study."""

    def progress(self, step: int, steps: int, loss: float) -> None:
        """Hear of an optimizer step."""

    def validated(self, step: int, value: float) -> bool:
        """Hear of a validation score; answer False to prune the trial."""


def run_trial(spec: TrialSpec, session: Session, listener: Listener, artifacts: Path | None = None) -> TrialRecord:
    """Run one trial and return its record, however it ends.

    Args:
        spec: what to run.
        session: keeps base model and data between trials.
        listener: hears of progress and may prune the trial.
        artifacts: where a final's trained weights are kept; None keeps none.
    """
    # A worker knows the built-ins and the installed packages alone.
    load_plugins([*spec.cell.plugins, *(plugin for target in spec.cell.transfer for plugin in target.plugins)])
    began = time.perf_counter()
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        device, dtype = session.device(spec.cell)
    except BenchError:  # a device that is not there: nothing can run as it was asked for
        raise
    except Exception as error:  # a device that is there and broken
        return TrialRecord.of(spec, status="error", reason=_describe(error), started_at=started_at)
    settings, halvings = spec.training, 0
    while True:
        with Meters(device) as meters, quiet():
            run = _Run(spec, settings, session, listener, meters, artifacts)
            status, reason = _attempt(run)
        # Several processes cannot begin anew together once one of them has run out of memory.
        smaller = halved(settings) if status == "oom" and run.attached and session.ranks.size == 1 else None
        if smaller is None:
            break
        # The trial begins anew, with the same seed, and takes the same optimizer steps in more and smaller passes.
        settings, halvings = smaller, halvings + 1
        print(f"{spec.title}: out of memory, trying again with smaller passes ({reason})", file=sys.stderr)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    if halvings:
        run.note(
            halved_for_memory=halvings,
            micro_batch_size=micro_batch(settings),
            eval_batch_size=settings.eval_batch_size,
        )
    seconds = {**meters.seconds, "total": time.perf_counter() - began}
    return TrialRecord.of(
        spec,
        status=status,
        reason=reason,
        started_at=started_at,
        seconds={name: round(value, 4) for name, value in seconds.items()},
        memory=meters.memory(),
        provenance=provenance(device, dtype, run.model_revision, run.data_revision),
        **run.results(meters.seconds),
    )


def _attempt(run: _Run) -> tuple[Status, str | None]:
    """Run a trial and clean up after it; return how it ended."""
    try:
        run.execute()
    except HeadMismatch:  # whatever the trial, nothing can run as it was asked for
        raise
    except Infeasible as error:
        return "infeasible", str(error)
    except Pruned as error:
        return "pruned", str(error)
    except Diverged as error:
        return "diverged", str(error)
    except Exception as error:
        # Whatever a method or a model raises ends this trial and no other; the record says what it was.
        status: Status = "oom" if _is_out_of_memory(error) else "error"
        if status == "error":
            traceback.print_exc()
        run.session.ranks.stuck(status, _describe(error))
        return status, _describe(error)
    finally:
        if not run.clean_up() or run.session.ranks.size > 1:
            run.session.forget()
    return "ok", None


def micro_batch(settings: Training) -> int:
    """Return the examples of one forward and backward pass."""
    return math.ceil(settings.batch_size / settings.gradient_accumulation_steps)


def halved(settings: Training) -> Training | None:
    """Return settings with passes of half the size and the same batch, or None if they cannot be smaller."""
    if micro_batch(settings) == 1 and settings.eval_batch_size == 1:
        return None
    return settings.model_copy(
        update={
            "gradient_accumulation_steps": min(settings.batch_size, 2 * settings.gradient_accumulation_steps),
            "eval_batch_size": max(1, settings.eval_batch_size // 2),
        }
    )


class _Run:
    """The steps of one trial and what they leave behind."""

    def __init__(
        self,
        spec: TrialSpec,
        settings: Training,
        session: Session,
        listener: Listener,
        meters: Meters,
        artifacts: Path | None,
    ) -> None:
        self.spec, self.session, self.listener, self.meters = spec, session, listener, meters
        self.artifacts = artifacts if spec.kind == "final" and spec.cell.finals.save_adapters else None
        self.settings = settings
        self.attached = False
        """Whether the method stood on its model: what ran out of memory later may fit in smaller passes."""
        self.outcome = Outcome()
        self.model_revision: str | None = None
        self.data_revision: str | None = None
        self._stack = ExitStack()
        self._tuned: TunedModel | None = None
        self._values: dict[str, Any] = {}
        self._tokens: dict[str, int] = {}
        self._notes: dict[str, Any] = {}
        self._flops: Flops | None = None
        self._saved: Path | None = None

    def execute(self) -> None:
        """Load, attach, train, validate; finals then read the test split."""
        cell = self.spec.cell
        with self.meters.phase("load"):
            base = self.session.base(cell)
            splits = self.session.splits(cell.dataset, self.spec.fold)
            self.data_revision = splits.revision
            self.model_revision = base.revision if base else None
            encoder = self.session.encoder(base, cell.dataset) if base else None
            self._notes.update(base.notes if base else {})
            check_heads(cell, base, splits, self.session)
            self.metrics = build_metrics(cell.dataset)
            method = methods.build(cell.method.name, self.spec.method_options, f"method {cell.method.label}")
            set_seed(self.spec.seed)  # of Python, NumPy and torch, on every device
            own = set(base.network.parameters()) if base and self.session.ranks.size > 1 else set()
            tuned = self._tuned = attach(method, base, splits, self.spec.seed)
            self.attached = True
            if base and cell.runtime.gradient_checkpointing:
                self._stack.enter_context(checkpointed(base.network))
                self.note(gradient_checkpointing=True)
            room = encoder.room(tuned.virtual_tokens, self.settings.max_length) if encoder else None
            self._count_parameters(tuned, base)
            tuned = self._tuned = self.session.ranks.share(tuned, own, encoder)
        scorer = self.session.ranks.scorer(tuned, encoder, room, self.settings.eval_batch_size)
        references = [e.label for e in splits.validation]

        def validate(step: int) -> Evaluated:
            done = scorer.run(splits.validation)
            self._tokens["validate"] = self._tokens.get("validate", 0) + done.tokens
            self._notes["truncated_validation_inputs"] = done.truncated
            return done.evaluated(step, references, self.metrics)

        if tuned.trainable() and encoder is not None:
            checkpoint = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))) / "best"
            hooks = Hooks(validate, self._better, self._keep_going, self.listener.progress)
            try:
                with self.meters.phase("train"):
                    train(
                        tuned,
                        encoder,
                        splits.train,
                        room,
                        self.settings,
                        self.session.device(cell)[1],
                        self.spec.seed,
                        hooks,
                        self.meters,
                        checkpoint,
                        self.outcome,
                        self.session.ranks,
                    )
            finally:
                self._keep_checkpoint(checkpoint)
        else:
            with self.meters.phase("validate"):
                self.outcome.best = validate(0)
            self.outcome.validation_curve.append(self.outcome.best)
        if self.spec.kind == "final":
            with self.meters.phase("test"):
                done = scorer.run(splits.test)
            self._keep_test(done, splits.test, splits.labels)
            if cell.evaluation.generations:
                with self.meters.phase("generate"):
                    sample = splits.test[: cell.evaluation.generations]
                    self._values["non_label_share"] = scorer.non_label_share(sample)
            self._transfer(Trained(tuned, base, splits, encoder))
        self._notes.update({**tuned.notes(), **self.session.ranks.notes()})
        self._values["measurements"] = {**self._switching(tuned), **tuned.measurements()}

    def clean_up(self) -> bool:
        """Detach the method; False if that failed and the base model cannot be trusted any more."""
        try:
            if self._tuned is not None:
                self._tuned.detach()
        except Exception:
            traceback.print_exc()
            return False
        finally:
            self._tuned = None
            self._stack.close()
        return True

    def note(self, **notes: int | float | str | bool) -> None:
        """Add to the record's notes."""
        self._notes.update(notes)

    def results(self, seconds: dict[str, float]) -> dict[str, Any]:
        """Return the record's fields that the run has filled."""
        outcome = self.outcome
        self._tokens["train"] = outcome.tokens
        flops = self._values.pop("flops", {})
        if self._flops is not None and outcome.train_curve:
            flops["train"] = self._flops.training(outcome, self.settings)
        self._notes["truncated_train_inputs"] = outcome.truncated
        rates = {
            phase: round(tokens / seconds[phase], 3)
            for phase, tokens in self._tokens.items()
            if tokens and seconds.get(phase)
        }
        parameters: Parameters | None = self._values.pop("parameters", None)
        if parameters is not None:
            parameters = parameters.model_copy(
                update={
                    "with_gradient": outcome.with_gradient,
                    "adapter_bytes": self._values.pop("adapter_bytes", None),
                }
            )
        return {
            "objective": self._objective(outcome.best) if outcome.best else None,
            "best_step": outcome.best.step if outcome.best else None,
            "train_curve": outcome.train_curve,
            "validation_curve": outcome.validation_curve,
            "parameters": parameters,
            "tokens_per_second": rates,
            "flops": flops,
            "notes": self._notes,
            **self._values,
        }

    def _objective(self, evaluated: Evaluated) -> float:
        return evaluated.metrics[self.spec.cell.objective]

    def _better(self, new: Evaluated, old: Evaluated | None) -> bool:
        if old is None:
            return True
        sign = 1 if self.spec.cell.greater_is_better else -1
        return sign * self._objective(new) > sign * self._objective(old)

    def _keep_going(self, evaluated: Evaluated) -> bool:
        # A final is never pruned: its configuration has been chosen.
        return self.listener.validated(evaluated.step, self._objective(evaluated)) or self.spec.kind == "final"

    def _keep_test(self, done: Pass, examples: Sequence[Any], labels: Sequence[str]) -> None:
        step = self.outcome.best.step if self.outcome.best else 0
        self._tokens["test"] = done.tokens
        self._notes["truncated_test_inputs"] = done.truncated
        self._values["test"] = done.evaluated(step, [e.label for e in examples], self.metrics)
        self._values["predictions"] = done.predictions(examples, labels)
        if self._flops is not None and examples:
            self._values["flops"] = {"example": self._flops.example(done)}

    def _count_parameters(self, tuned: TunedModel, base: LanguageModel | None) -> None:
        size = tuned.base.parameters if base else 0
        self._flops = Flops(tuned) if base is not None else None
        self._values["parameters"] = Parameters(
            base=size if base else None,
            total=size + tuned.added_parameters(),
            trainable=sum(p.numel() for p in tuned.trainable().values()),
        )

    def _keep_checkpoint(self, checkpoint: Path) -> None:
        """Weigh the best checkpoint, and move it beside the final's record."""
        if not checkpoint.exists():
            return
        self._values["adapter_bytes"] = sum(f.stat().st_size for f in checkpoint.glob("*.safetensors"))
        if self.artifacts is not None:
            self.artifacts.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.artifacts, ignore_errors=True)
            shutil.move(checkpoint, self.artifacts)
        self._saved = self.artifacts or checkpoint

    def _transfer(self, trained: Trained) -> None:
        """Test on other data sets; what cannot be tested there keeps its result, and its record says why."""
        found: dict[str, TransferTest] = {}
        for target in self.spec.cell.transfer:
            with self.meters.phase("transfer"):
                try:
                    test, tokens = test_on(target, trained, self.spec.number, self.settings, self.session)
                except Exception as error:
                    if self.session.ranks.size > 1:  # the other processes wait for this one
                        raise
                    test, tokens = TransferTest(reason=_describe(error)), 0
            found[target.dataset.label] = test
            self._tokens["transfer"] = self._tokens.get("transfer", 0) + tokens
        self._values["transfer"] = found

    def _switching(self, tuned: TunedModel) -> dict[str, float]:
        """Time the switch to this final's task; a method that cannot be switched keeps its result and says why."""
        if self.spec.kind != "final" or self._saved is None or self.session.ranks.size > 1:
            return {}
        try:
            with self.meters.phase("switch"):
                return measure_switch(tuned, self._saved, self.session.device(self.spec.cell)[0])
        except Exception as error:
            self._notes["task_switch"] = _describe(error)
            return {}


def _is_out_of_memory(error: BaseException) -> bool:
    # On a CPU torch raises a plain RuntimeError from its allocator.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _describe(error: BaseException) -> str:
    """Return type, message and place of an error in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}{place}"
