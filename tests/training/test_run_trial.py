"""One trial, from spec to record, on a tiny model of this machine and a file of ours."""

from __future__ import annotations

import dataclasses
import random
from typing import ClassVar
from unittest.mock import patch

import numpy as np
import pytest
import torch
from listening import Listener
from one_trial import LETTERS, tiny_cell, write_letters, write_models

from bench.methods import methods
from bench.methods.base import Method, TunedModel
from bench.methods.full_fine_tuning import FullFineTuning
from bench.methods.prompt_tuning import PromptTuning
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec
from bench.testing.tiny import tiny_network, tiny_tokenizer
from bench.training import trial, trial_run
from bench.training.session import Session
from bench.training.trial import run_trial

TRAINING = {"max_steps": 4, "batch_size": 8, "eval_steps": 2, "learning_rate": 0.02}


class Untouchable(tuple):
    """A split that nobody may look at."""

    def __iter__(self):
        raise AssertionError("the test split was read")

    __len__ = __getitem__ = __bool__ = __iter__


class Guarded(Session):
    """A session that guards the test split."""

    def splits(self, entry, fold=0, draw=0):
        return dataclasses.replace(super().splits(entry, fold, draw), test=Untouchable())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and a CSV whose first letter says the label."""
    folder = write_models(tmp_path_factory.mktemp("tiny"), "llama")
    write_letters(folder / "data.csv", 90)
    return folder


@pytest.fixture(scope="module")
def session():
    """Shared by all tests here, as by the trials of a worker."""
    return Session()


def spec_of(folder, method="prompt_tuning", kind="trial", params=None, training=None, seed=0, **more):
    data = {"path": str(folder / "data.csv"), **LETTERS, "validation_size": 20}
    more = {"evaluation": {"generations": 5}, **more}
    cell = tiny_cell(folder / "llama", data, method, training={**TRAINING, **(training or {})}, **more)
    return TrialSpec(experiment="tiny", cell=cell, kind=kind, number=0, seed=seed, params=params or {})


@pytest.fixture
def throw_away():
    """Register a method for one test."""
    with patch.dict(methods._targets), patch.dict(methods._owners):
        yield methods.register("throw_away")


def test_a_final_that_went_well_has_every_block_filled(folder, session, tmp_path):
    spec = spec_of(folder, {"prompt_tuning": {"num_virtual_tokens": 4}}, kind="final", params={"learning_rate": 0.05})
    listener = Listener()
    record = run_trial(spec, session, listener, tmp_path / "adapter")

    assert (record.status, record.reason) == ("ok", None)
    assert TrialRecord.model_validate_json(record.model_dump_json()) == record
    assert (record.spec, record.spec_hash, record.cell_path) == (spec, spec.hash, spec.cell.path)
    assert [s.step for s in record.train_curve] == listener.steps == [1, 2, 3, 4]
    assert record.train_curve[0].learning_rate == 0.05
    assert [e.step for e in record.validation_curve] == [2, 4]
    best = max(record.validation_curve, key=lambda e: e.metrics["accuracy"])
    assert (record.objective, record.best_step) == (best.metrics["accuracy"], best.step)

    base = tiny_network().num_parameters()
    counts = record.parameters
    assert (counts.base, counts.total, counts.trainable, counts.with_gradient) == (base, base + 128, 128, 128)
    assert counts.adapter_bytes == (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()

    assert set(record.test.metrics) == {"accuracy", "f1_macro"}
    assert record.test.loss > 0
    right = [p == r for p, r in zip(record.predictions.predictions, record.predictions.references, strict=True)]
    assert len(right) == 20
    assert record.test.metrics["accuracy"] == pytest.approx(sum(right) / 20)
    assert record.predictions.labels == ["yes", "no"]
    assert 0 <= record.non_label_share <= 1
    assert record.notes["train_rows"] == len(session.splits(spec.cell.dataset).train)

    training = {"encode", "train", "measure", "validate", "save", "wait"}
    assert set(record.seconds) == {"load", *training, "test", "generate", "switch", "total"}
    assert record.seconds["total"] >= sum(s for name, s in record.seconds.items() if name != "total") - 0.01
    assert set(record.tokens_per_second) == {"train", "validate", "test"}
    assert record.notes["measured_steps"] in (1, 2)
    timed = sum(step.tokens for step in record.train_curve) - record.train_curve[1].tokens
    if record.notes["measured_steps"] == 1:
        assert record.tokens_per_second["train"] == pytest.approx(timed / record.seconds["train"], rel=0.01)
    assert record.memory["train"].live_tensor_peak_bytes > base * 4
    assert all(phase.resident_peak_bytes for phase in record.memory.values())
    assert record.notes["forward"] == "packed"
    assert {f"truncated_{split}_inputs" for split in ("train", "validation", "test")} <= set(record.notes)

    made = record.provenance
    assert made.versions["torch"].startswith(torch.__version__.split("+")[0])
    assert (made.device, made.precision, made.threads) == ("cpu", "float32", torch.get_num_threads())
    assert len(made.model_revision) == len(made.data_revision) == 64


def test_the_test_scores_are_those_of_the_saved_adapter(folder, session, tmp_path):
    spec = spec_of(folder, "lora", kind="final", training={"learning_rate": 0.05, "max_steps": 6})
    record = run_trial(spec, session, Listener(), tmp_path / "adapter")

    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(folder / "llama")
    model = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    splits = session.splits(spec.cell.dataset)
    tokenizer = tiny_tokenizer()
    words = [tokenizer(" yes")["input_ids"][0], tokenizer(" no")["input_ids"][0]]
    with torch.no_grad():
        logits = [model(torch.tensor([tokenizer(e.text)["input_ids"]])).logits[0, -1, words] for e in splits.test]
    assert record.predictions.predictions == [int(row.argmax()) for row in logits]


def test_a_trial_does_not_read_the_test_split(folder, tmp_path):
    record = run_trial(spec_of(folder), Guarded(), Listener(), tmp_path / "adapter")
    assert record.status == "ok"
    assert (record.test, record.predictions, record.non_label_share) == (None, None, None)
    assert "test" not in record.seconds
    assert not (tmp_path / "adapter").exists()
    assert record.parameters.adapter_bytes > 0


def test_the_guard_of_the_test_split_would_have_spoken(folder):
    record = run_trial(spec_of(folder, kind="final"), Guarded(), Listener())
    assert record.status == "error"
    assert "the test split was read" in record.reason


@pytest.mark.parametrize("method", ["prompt_tuning", {"lora": {"dropout": 0.3}}, "full_fine_tuning"])
def test_the_same_spec_gives_the_same_run_to_the_last_bit(folder, session, method):
    spec = spec_of(folder, method, seed=11)
    torch.manual_seed(1)
    first = run_trial(spec, session, Listener())
    run_trial(spec_of(folder, "lora", seed=3), session, Listener())
    torch.manual_seed(2)
    again, fresh = run_trial(spec, session, Listener()), run_trial(spec, Session(), Listener())
    assert first.status == "ok"
    for other in (again, fresh):
        assert (other.train_curve, other.validation_curve) == (first.train_curve, first.validation_curve)
        assert (other.objective, other.best_step) == (first.objective, first.best_step)
    assert run_trial(spec_of(folder, method, seed=12), session, Listener()).train_curve != first.train_curve


def test_the_base_model_stays_in_memory_between_trials_and_unchanged(folder):
    session = Session()
    spec = spec_of(folder)
    run_trial(spec, session, Listener())
    base = session.base(spec.cell)
    before = {name: p.clone() for name, p in base.network.named_parameters()}
    for method in ("lora", "full_fine_tuning", "hard_prompt"):
        assert run_trial(spec_of(folder, method), session, Listener()).status == "ok"
        assert session.base(spec.cell) is base
    assert all(torch.equal(p, before[name]) for name, p in base.network.named_parameters())


@pytest.mark.parametrize(("method", "loss"), [("majority", False), ("hard_prompt", True)])
def test_a_baseline_is_validated_once_and_trains_nothing(folder, session, method, loss):
    record = run_trial(spec_of(folder, method, kind="final"), session, Listener())
    assert record.status == "ok"
    assert record.train_curve == []
    assert [e.step for e in record.validation_curve] == [0]
    assert record.objective == record.validation_curve[0].metrics["accuracy"]
    assert (record.parameters.trainable, record.parameters.adapter_bytes) == (0, None)
    assert (record.test.loss is not None) == loss
    assert record.test.metrics["accuracy"] == pytest.approx(0.5, abs=0.2 if loss else 0)


# The ways to end


def test_a_prompt_longer_than_the_context_is_infeasible(folder, session):
    record = run_trial(spec_of(folder, params={"num_virtual_tokens": 300}), session, Listener())
    assert record.status == "infeasible"
    assert "300 virtual tokens" in record.reason
    assert record.objective is None


def test_a_trial_that_diverges_keeps_its_curve(folder, session, throw_away):
    @throw_away
    class Poison(PromptTuning):
        """Poisons its prompt."""

        def attach(self, base, dataset, seed):
            tuned = super().attach(base, dataset, seed)
            tuned.after_step = lambda step: tuned.prompt.data.fill_(float("nan")) if step == 3 else None
            return tuned

    record = run_trial(spec_of(folder, "throw_away"), session, Listener())
    assert record.status == "diverged"
    assert "step 4" in record.reason
    assert [s.step for s in record.train_curve] == [1, 2, 3]
    assert [e.step for e in record.validation_curve] == [2]
    assert record.objective == record.validation_curve[0].metrics["accuracy"]


def test_a_trial_that_the_study_refuses_is_pruned_and_keeps_its_curves(folder, session):
    listener = Listener(answer=False)
    record = run_trial(spec_of(folder), session, listener)
    assert record.status == "pruned"
    assert [e.step for e in record.validation_curve] == [2]
    assert listener.scores == [record.objective]


def test_a_final_is_never_pruned(folder, session):
    assert run_trial(spec_of(folder, kind="final"), session, Listener(answer=False)).status == "ok"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (RuntimeError("it\nbroke"), "error", "RuntimeError: it broke (test_run_trial.py:"),
        (torch.OutOfMemoryError("no more"), "oom", "OutOfMemoryError: no more"),
        (MemoryError(), "oom", "MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "oom", "DefaultCPUAllocator"),
    ],
)
@pytest.mark.parametrize("where", ["attach", "logits"])
def test_what_a_method_raises_ends_its_trial_and_no_other(folder, session, throw_away, error, status, reason, where):
    def fail(*_):
        raise error

    @throw_away
    class Exploding(PromptTuning):
        """Raises."""

        def attach(self, base, dataset, seed):
            if where == "attach":
                fail()
            tuned = super().attach(base, dataset, seed)
            tuned.logits = fail
            return tuned

    record = run_trial(spec_of(folder, "throw_away"), session, Listener())
    assert record.status == status
    assert reason in record.reason
    assert record.provenance.model_revision
    assert run_trial(spec_of(folder), session, Listener()).status == "ok"


def test_a_method_that_cannot_be_detached_takes_the_base_model_with_it(folder, throw_away):
    class Stuck(TunedModel):
        def detach(self):
            raise RuntimeError("stuck")

    @throw_away
    class Sticky(Method):
        """Does not let go."""

        title: ClassVar[str] = "Sticky"

        def attach(self, base, dataset, seed):
            base.network.get_input_embeddings().weight.data.zero_()
            return Stuck(base)

    session = Session()
    good = run_trial(spec_of(folder, "hard_prompt"), session, Listener())
    run_trial(spec_of(folder, "throw_away"), session, Listener())
    again = run_trial(spec_of(folder, "hard_prompt"), session, Listener())
    assert again.validation_curve == good.validation_curve


def test_a_trial_that_breaks_in_the_middle_leaves_no_trace_on_the_next(folder, throw_away):
    @throw_away
    class Breaking(FullFineTuning):
        """Breaks after two steps."""

        def attach(self, base, dataset, seed):
            tuned = super().attach(base, dataset, seed)

            def after(step):
                if step == 2:
                    raise RuntimeError("broken")

            tuned.after_step = after
            return tuned

    session = Session()
    good = run_trial(spec_of(folder), session, Listener())
    assert run_trial(spec_of(folder, "throw_away"), session, Listener()).status == "error"
    assert run_trial(spec_of(folder), session, Listener()).train_curve == good.train_curve


def test_every_generator_is_seeded(folder, session, throw_away):
    drawn = []

    @throw_away
    class Drawing(PromptTuning):
        """Draws from everywhere."""

        def attach(self, base, dataset, seed):
            drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
            return super().attach(base, dataset, seed)

    for seed in (1, 1, 2):
        run_trial(spec_of(folder, "throw_away", seed=seed), session, Listener())
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[0], drawn[2], strict=True))


def test_inputs_that_were_cut_are_counted_in_the_record(folder, session):
    record = run_trial(spec_of(folder, kind="final", training={"max_length": 12}), session, Listener())
    assert record.status == "ok"
    for split, size in (("train", 40), ("validation", 20), ("test", 20)):
        assert 0 < record.notes[f"truncated_{split}_inputs"] <= size


def test_texts_with_several_labels_and_the_share_of_one_label_stand_in_the_notes(folder, session, tmp_path):
    rows = (folder / "data.csv").read_text() + "twofold,y\ntwofold,n\n"
    (tmp_path / "data.csv").write_text(rows)
    spec = spec_of(folder, "majority")
    options = {**spec.cell.dataset.options, "path": str(tmp_path / "data.csv")}
    cell = spec.cell.model_copy(update={"dataset": spec.cell.dataset.model_copy(update={"options": options})})
    notes = run_trial(spec.model_copy(update={"cell": cell}), session, Listener()).notes
    assert (notes["conflicting_duplicates"], notes["majority_share"]) == (2, 0.5)
    assert "conflicting_duplicates" not in run_trial(spec, session, Listener()).notes


def test_a_lower_score_is_better_where_the_metric_says_so(folder, session):
    spec = spec_of(folder, training={"eval_steps": 1, "learning_rate": 0.3})
    cell = spec.cell.model_copy(update={"greater_is_better": False})
    record = run_trial(spec.model_copy(update={"cell": cell}), session, Listener())
    assert record.objective == min(e.metrics["accuracy"] for e in record.validation_curve)
    assert len({e.metrics["accuracy"] for e in record.validation_curve}) > 1


@pytest.mark.parametrize("room", [2, 0])
def test_out_of_memory_halves_the_passes_and_keeps_the_batch(folder, monkeypatch, room):
    real = trial_run.train

    def crowded(job, *rest):
        if trial.micro_batch(job.settings) > room:
            raise torch.OutOfMemoryError("no room")
        real(job, *rest)

    whole = {"batch_size": 8, "eval_batch_size": 16}
    by_hand = spec_of(folder, training={**whole, "gradient_accumulation_steps": 4, "eval_batch_size": 4})
    wanted = run_trial(by_hand, Session(), Listener())
    monkeypatch.setattr(trial_run, "train", crowded)
    record = run_trial(spec_of(folder, training=whole), Session(), Listener())
    if room:
        assert record.status == "ok"
        assert [step.loss for step in record.train_curve] == [step.loss for step in wanted.train_curve]
        notes = {key: record.notes[key] for key in ("halved_for_memory", "micro_batch_size", "eval_batch_size")}
        assert notes == {"halved_for_memory": 2, "micro_batch_size": 2, "eval_batch_size": 4}
    else:
        assert record.status == "oom"
        assert (record.notes["micro_batch_size"], record.notes["eval_batch_size"]) == (1, 1)


def test_a_device_that_breaks_ends_the_trial_and_not_the_worker(folder, session, monkeypatch):
    def broken(cell):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(session, "device", broken)
    record = run_trial(spec_of(folder), session, Listener())
    assert record.status == "error"
    assert record.reason.startswith("RuntimeError: CUDA error")
