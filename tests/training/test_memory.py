"""Meters, held against a count by hand and against torch's own tracker."""

from __future__ import annotations

import gc
import time

import pytest
import torch
from torch import nn
from torch.distributed._tools.mem_tracker import MemTracker

from bench.training.memory import LiveTensors, Meters

CPU = torch.device("cpu")


def peak(work, roots=()):
    gc.collect()
    with LiveTensors(roots) as live:
        work()
    return live.peak


def test_the_peak_is_that_of_a_count_by_hand():
    def work():
        a = torch.zeros(100)  # 400
        b = torch.zeros(50, dtype=torch.float64)  # 800
        del a  # 400
        c = torch.zeros(300, dtype=torch.int8)  # 700
        del b, c  # 0
        torch.zeros(20)  # 80, gone at once

    assert peak(work) == 800


def test_the_highest_moment_counts_and_not_the_last():
    def work():
        torch.zeros(1000)
        kept = [torch.zeros(10) for _ in range(3)]
        assert len(kept) == 3

    assert peak(work) == 4000


def test_a_view_is_counted_once_and_holds_its_storage():
    def work():
        a = torch.zeros(100)
        view = a[:2].view(2, 1).expand(2, 500).transpose(0, 1)
        del a  # the view still holds all 400 bytes
        b = torch.zeros(100)
        del view, b
        torch.zeros(150)

    assert peak(work) == 800


def test_what_is_computed_in_place_takes_nothing():
    def work():
        a = torch.zeros(100)
        a.add_(1).mul_(2)

    assert peak(work) == 400


def test_roots_count_from_the_start_once_and_until_they_are_freed():
    roots = [torch.zeros(100), torch.zeros(100)]
    assert peak(lambda: None, [*roots, roots[0], roots[1][:3]]) == 800
    with LiveTensors(roots) as live:
        roots.clear()
        torch.zeros(150)
    assert live.peak == 800


def test_activations_kept_for_the_backward_pass_are_counted():
    weight = torch.ones(10, requires_grad=True)

    def work():
        ((weight * 2).exp() * 3).sum().backward()

    # Alive at the highest moment, 40 bytes each: the weight, the saved result of exp, its product before the sum
    # gives way, or gradients in their place; torch's own tracker below agrees to the byte.
    assert 120 <= peak(work, [weight]) <= 200


def test_a_training_step_takes_what_torchs_own_tracker_says():
    def step():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 3))
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        data = torch.ones(16, 20)

        def run():
            model(data).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return model, optimizer, data, run

    model, optimizer, data, run = step()
    theirs = MemTracker()
    theirs.track_external(model, optimizer, data)
    with theirs:
        run()
    expected = theirs.get_tracker_snapshot("peak")[CPU]["Total"]

    model, optimizer, data, run = step()
    ours = peak(run, [*model.parameters(), data])
    weights = sum(p.numel() * 4 for p in model.parameters())
    assert ours == expected
    assert ours > 4 * weights  # weights, gradients, two moments


# Phases


@pytest.fixture
def meters():
    with Meters(CPU) as running:
        yield running


def test_time_belongs_to_the_innermost_phase(meters, monkeypatch):
    now = [1000.0]

    def work(seconds):
        now[0] += seconds

    monkeypatch.setattr("bench.training.memory.time.perf_counter", lambda: now[0])
    with meters.phase("train"):
        work(1)
        for _ in range(2):
            with meters.phase("validate"):
                work(10)
        work(2)
    work(100)  # of no phase
    with meters.phase("train"):
        work(4)
    assert meters.seconds == {"train": 7, "validate": 20}


def test_the_time_of_counting_is_measures_and_the_peak_is_the_phases(meters, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("bench.training.memory.time.perf_counter", lambda: now[0])
    with meters.phase("train"):
        now[0] += 1
        with meters.live_tensors([]):
            now[0] += 10
            torch.zeros(100)
        now[0] += 2
    assert meters.seconds == {"train": 3, "measure": 10}
    assert meters.memory()["train"].live_tensor_peak_bytes == 400
    assert set(meters.memory()) == {"train"}


def test_live_tensors_belong_to_the_innermost_phase_and_the_highest_stays(meters):
    def use(number):
        with meters.live_tensors([]):
            torch.zeros(number)

    with meters.phase("train"):
        use(100)
        with meters.phase("validate"):
            use(1000)
        use(50)
    memory = meters.memory()
    assert memory["train"].live_tensor_peak_bytes == 400
    assert memory["validate"].live_tensor_peak_bytes == 4000


def test_the_resident_set_is_that_of_the_process_and_a_peak_of_one_phase_is_not_the_nexts(meters):
    size = 200 * 2**20
    with meters.phase("before"):
        time.sleep(0.03)
    with meters.phase("large"):
        block = torch.ones(size // 4)
        time.sleep(0.2)  # for the sampler to see it: at the phase's end it is gone
        del block
    with meters.phase("after"):
        time.sleep(0.03)
    before, large, after = (meters.memory()[name].resident_peak_bytes for name in ("before", "large", "after"))
    assert before > 50 * 2**20
    assert large - before > 0.9 * size
    assert large - after > 0.9 * size


def test_nothing_measured_on_a_cpu_is_called_gpu_memory(meters):
    with meters.phase("train"), meters.live_tensors([]):
        torch.zeros(10)
    measured = meters.memory()["train"]
    assert measured.cuda_allocated_peak_bytes is None
    assert measured.cuda_reserved_peak_bytes is None


def test_a_phase_that_fails_is_closed(meters):
    with pytest.raises(ValueError, match="stop"), meters.phase("train"), meters.phase("validate"):
        raise ValueError("stop")
    with meters.phase("test"):
        pass
    assert set(meters.seconds) == set(meters.memory()) == {"train", "validate", "test"}
