"""The way of one trial: load, attach, train, validate; a final is then tested."""

from __future__ import annotations

import shutil
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Protocol

from transformers import set_seed

from bench.core.errors import named_line
from bench.datasets.splits import Splits
from bench.experiment.settings import RetentionText, Training
from bench.forward.checkpointing import checkpointed
from bench.methods import methods
from bench.methods.attaching import attach
from bench.methods.base import TunedModel
from bench.metrics.base import BaseMetric
from bench.models.language_model import LanguageModel
from bench.runs.record import Evaluated, Parameters, Retention, TransferTest
from bench.runs.spec import TrialSpec
from bench.training.costs import Flops
from bench.training.device import autocast
from bench.training.draft import Draft
from bench.training.encoding import Encoder
from bench.training.loop import Hooks, TrainingJob, train
from bench.training.memory import Meters
from bench.training.prepared import Prepared, build_metrics, score, writes
from bench.training.retention import retention_after, retention_before
from bench.training.session import Session
from bench.training.switching import measure_switch
from bench.training.transfer import check_heads, test_on
from bench.training.written import item_by_item


class TrialListener(Protocol):
    """Receives the events of one trial and passes on the study's verdict: the engine."""

    def progress(self, step: int, steps: int, loss: float) -> None:
        """Take note of an optimizer step."""

    def validated(self, step: int, value: float) -> bool:
        """Take a validation score; return False to prune the trial."""


class TrialRun:
    """One trial under way, see `bench.training.trial.run_trial`; what it finds is in its draft."""

    def __init__(
        self,
        spec: TrialSpec,
        settings: Training,
        session: Session,
        listener: TrialListener,
        meters: Meters,
        artifacts: Path | None,
    ) -> None:
        self.spec, self.settings, self.session, self.listener, self.meters = spec, settings, session, listener, meters
        self.artifacts = artifacts if spec.kind == "final" and spec.cell.finals.save_adapters else None
        self.draft = Draft()
        self.attached = False
        """Whether the method stood on its model: what ran out of memory later may fit in smaller passes."""
        self._tuned: TunedModel | None = None
        self._flops: Flops | None = None
        self._stack = ExitStack()

    def execute(self) -> None:
        """Run the trial to its end."""
        base, splits, encoder = self._load()
        self._measure_retention(lambda text: retention_before(text, base, encoder, self.session))
        prepared = self._attach(base, splits, encoder)
        saved = self._train(prepared)
        if self.spec.kind == "final":
            self._test(prepared)
            self._measure_retention(lambda text: retention_after(self.draft.retention, text, prepared))
            self._transfer(prepared)
            self._measure_switch(prepared.tuned, saved)
        self.draft.notes |= {**prepared.tuned.notes(), **self.session.ranks.notes()}
        self.draft.measurements |= prepared.tuned.measurements()

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

    def _load(self) -> tuple[LanguageModel | None, Splits, Encoder | None]:
        """Have base model and data in memory."""
        cell, draft = self.spec.cell, self.draft
        with self.meters.phase("load"):
            base = self.session.base(cell)
            splits = self.session.splits(cell.dataset, self.spec.fold, self.spec.draw)
            draft.data_revision = splits.revision
            draft.notes["train_rows"] = len(splits.train)
            draft.notes["majority_share"] = round(splits.majority_share, 4)
            if splits.conflicting:
                draft.notes["conflicting_duplicates"] = splits.conflicting
            if base is not None:
                draft.model_revision = base.revision
                draft.notes |= {"network": base.kind.value, **base.notes}
            encoder = self.session.encoder(base, cell.dataset) if base else None
            check_heads(cell, base, splits, self.session)
        return base, splits, encoder

    def _attach(self, base: LanguageModel | None, splits: Splits, encoder: Encoder | None) -> Prepared:
        """Put the method on its model, and tokenise what will be read."""
        cell, ranks = self.spec.cell, self.session.ranks
        with self.meters.phase("load"):
            metrics = build_metrics(cell.dataset)
            method = methods.build(cell.method.name, self.spec.method_options, f"method {cell.method.label}")
            set_seed(self.spec.seed)  # of Python, NumPy and torch, on every device
            own = set(base.network.parameters()) if base and ranks.size > 1 else set()
            tuned = self._tuned = attach(method, base, splits, self.spec.seed)
            self.attached = True
            if base and cell.runtime.gradient_checkpointing:
                self._stack.enter_context(checkpointed(base.network))
                self.draft.notes["gradient_checkpointing"] = True
            room = encoder.room(tuned.virtual_tokens, self.settings.max_length) if encoder else None
            size = tuned.base.parameters if base else 0
            self.draft.parameters = Parameters(
                base=size if base else None,
                total=size + tuned.added_parameters(),
                trainable=sum(p.numel() for p in tuned.trainable().values()),
            )
            # The way through the network is chosen here, and in the precision in which batches will take it.
            dtype = self.session.device(cell)[1]
            with autocast(base.device, dtype) if base else nullcontext():
                self._flops = Flops(tuned) if base else None
            tuned = self._tuned = ranks.share(tuned, own, encoder)
        if encoder is not None:
            with self.meters.phase("encode"):
                encoder.tokenise(splits.validation)
                if cut := encoder.cut_answers(splits.train, room):
                    self.draft.notes["truncated_train_answers"] = cut
                if self.spec.kind == "final":
                    encoder.tokenise(splits.test)
        scorer = ranks.scorer(tuned, encoder, room, self.settings.eval_batch_size, dtype)
        return Prepared(tuned, base, splits, encoder, room, dtype, scorer, metrics)

    def _train(self, prepared: Prepared) -> Path | None:
        """Train and validate; return where the best weights are. A method that trains nothing is validated once."""
        result = self.draft.training
        if prepared.encoder is None or not prepared.tuned.trainable():
            with self.meters.phase("validate"):
                result.best = self._validate(prepared, 0)
            result.validation_curve.append(result.best)
            return None
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        job = TrainingJob(
            tuned=prepared.tuned,
            encoder=prepared.encoder,
            examples=prepared.splits.train,
            settings=self.settings,
            checkpoint=Path(folder) / "best",
            seed=self.spec.seed,
            room=prepared.room,
            dtype=prepared.dtype,
            ranks=self.session.ranks,
        )
        hooks = Hooks(
            lambda step: self._validate(prepared, step), self._better, self._keep_going, self.listener.progress
        )
        try:
            train(job, hooks, self.meters, result)
        finally:
            if self._flops is not None and result.train_curve:
                self.draft.flops["train"] = self._flops.training(result, self.settings)
            saved = self._keep_checkpoint(job.checkpoint)
        return saved

    def _validate(self, prepared: Prepared, step: int) -> Evaluated:
        examples = prepared.splits.validation
        done = prepared.scorer.run(examples)
        self.draft.add_tokens("validate", done.tokens)
        self.draft.notes["truncated_validation_inputs"] = done.truncated
        # Writing takes long: during training it is done only for the metric that the study optimises.
        objective = self.spec.cell.objective
        asked = prepared.metrics if prepared.metrics[objective].scored == "text" else _unwritten(prepared.metrics)
        texts = [one.text for one in prepared.scorer.write(examples)] if writes(asked) else None
        return done.evaluated(step, score(done.answered(examples, prepared.splits, texts), asked))

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

    def _keep_checkpoint(self, checkpoint: Path) -> Path | None:
        """Weigh the best checkpoint, and move it beside the final's record; return where it is."""
        if not checkpoint.exists():
            return None
        self.draft.adapter_bytes = sum(f.stat().st_size for f in checkpoint.glob("*.safetensors"))
        if self.artifacts is None:
            return checkpoint
        with self.meters.phase("save"):
            self.artifacts.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.artifacts, ignore_errors=True)
            shutil.move(checkpoint, self.artifacts)
        return self.artifacts

    def _test(self, prepared: Prepared) -> None:
        """Read the test split, for the first time."""
        draft, splits, scorer = self.draft, prepared.splits, prepared.scorer
        with self.meters.phase("test"):
            done = scorer.run(splits.test)
        draft.add_tokens("test", done.tokens)
        draft.notes["truncated_test_inputs"] = done.truncated
        if prepared.encoder and (cut := prepared.encoder.cut_answers(splits.test, prepared.room)):
            draft.notes["truncated_test_answers"] = cut
        step = draft.training.best.step if draft.training.best else 0
        written = None
        if writes(prepared.metrics):
            with self.meters.phase("generate"):
                written = scorer.write(splits.test)
        answered = done.answered(splits.test, splits, None if written is None else [one.text for one in written])
        scores = score(answered, prepared.metrics)
        draft.test = done.evaluated(step, scores)
        draft.predictions = done.predictions(splits.test, splits)
        draft.answers = item_by_item(
            splits.test, answered, written, scores, prepared.metrics, self.spec.cell.evaluation.keep_texts
        )
        if self._flops is not None and splits.test:
            draft.flops["example"] = self._flops.example(done)
        if generations := self.spec.cell.evaluation.generations:
            with self.meters.phase("generate"):
                draft.non_label_share = scorer.non_label_share(splits.test[:generations])

    def _measure_retention(self, measure: Callable[[RetentionText], Retention]) -> None:
        """Measure a final on plain text, if that is asked for; what cannot be measured takes nothing else with it."""
        asked = self.spec.cell.evaluation.retention
        if asked is None or self.spec.kind != "final":
            return
        try:
            with self.meters.phase("retention"):
                self.draft.retention = measure(asked)
        except Exception as error:
            if self.session.ranks.size > 1:  # the other processes wait for this one
                raise
            found = self.draft.retention or Retention()
            self.draft.retention = found.model_copy(update={"reason": described(error)})

    def _transfer(self, prepared: Prepared) -> None:
        """Test on other data sets; what cannot be tested there keeps its result, and its record says why."""
        for target in self.spec.cell.transfer:
            with self.meters.phase("transfer"):
                try:
                    test, tokens = test_on(target, prepared, self.spec.number, self.settings, self.session)
                except Exception as error:
                    if self.session.ranks.size > 1:  # the other processes wait for this one
                        raise
                    test, tokens = TransferTest(reason=described(error)), 0
            self.draft.transfer[target.dataset.label] = test
            self.draft.add_tokens("transfer", tokens)

    def _measure_switch(self, tuned: TunedModel, saved: Path | None) -> None:
        """Time the switch to this final's task; a method that cannot be switched keeps its result and says why."""
        if saved is None or self.session.ranks.size > 1:
            return
        try:
            with self.meters.phase("switch"):
                self.draft.measurements |= measure_switch(tuned, saved, self.session.device(self.spec.cell)[0])
        except Exception as error:
            self.draft.notes["task_switch"] = described(error)


def described(error: BaseException) -> str:
    """Return type, message and place of an error in one line, for a record."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{named_line(error, 500)}{place}"


def _unwritten(metrics: Mapping[str, BaseMetric]) -> dict[str, BaseMetric]:
    return {name: metric for name, metric in metrics.items() if metric.scored != "text"}
