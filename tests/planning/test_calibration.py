"""Seconds on this machine, by rates that fit what was measured on it."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
import torch
from demo import demo_cell
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import BadInput, Unavailable
from bench.planning import calibration, measuring
from bench.planning.calibration import Calibration, calibrate, fitted
from bench.planning.devices import DEVICES
from bench.planning.places import place, this_machine
from bench.planning.trace import COSTS, Traced

RATES = dict(zip(COSTS, (2e-11, 1e-10, 3e-11, 2e-6), strict=True))
PASSES = [
    (1e6, 1e5, 1e4, 200),
    (1e9, 1e6, 4e6, 300),
    (5e9, 8e7, 1e6, 900),
    (2e8, 5e6, 9e7, 4000),
    (7e10, 3e8, 5e8, 700),
    (3e7, 2e5, 6e5, 50),
]


def seen(passes=PASSES, slower=1.0):
    rows = []
    for number, amounts in enumerate(passes):
        seconds = slower * sum(RATES[name] * amount for name, amount in zip(COSTS, amounts, strict=True))
        rows.append({"what": f"pass {number}", "seconds": seconds, **dict(zip(COSTS, amounts, strict=True))})
    return {"passes": rows, "attaching": 2e-6, "counting": 1e-6, "at_work": 1.0}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(calibration, "around", lambda *_: 5.0)
    return tmp_path


def test_the_rates_behind_what_was_measured_are_found():
    found = fitted([seen()], threads=1, start=5.0)
    assert found.rates == pytest.approx(RATES)
    assert found.errors == pytest.approx([0] * len(PASSES), abs=1e-9)


def test_workers_side_by_side_are_as_fast_as_they_are_on_the_mean():
    found = fitted([seen(), seen(slower=2.0)], threads=1, start=5.0)
    assert found.rates == pytest.approx({name: 1.5 * rate for name, rate in RATES.items()})
    assert found.workers == 2


@given(st.lists(st.floats(0.2, 5), min_size=len(PASSES), max_size=len(PASSES)))
def test_however_uneven_the_times_no_rate_is_below_zero(factors):
    uneven = seen()
    for row, factor in zip(uneven["passes"], factors, strict=True):
        row["seconds"] *= factor
    found = fitted([uneven], threads=2, start=5.0)
    assert all(rate >= 0 for rate in found.rates.values())
    assert Calibration.model_validate_json(found.model_dump_json()) == found


def test_a_pass_takes_what_its_parts_do_and_a_run_counts_live_tensors_twice():
    found = fitted([seen()], threads=1, start=5.0)
    traced = Traced({}, **dict(zip(COSTS, PASSES[3], strict=True)))
    assert found.seconds(traced, torch.float32) == pytest.approx(seen()["passes"][3]["seconds"])
    assert found.besides(traced, traced) == pytest.approx(4000 * (2e-6 + 2 * 1e-6))
    assert found.besides(None, traced) == pytest.approx(4000 * 2e-6)


def test_what_is_measured_is_a_pass_of_the_code_that_trains(monkeypatch):
    narrow = {**measuring.NETWORKS["64 wide"], "hidden_size": 16, "num_hidden_layers": 1}
    monkeypatch.setattr(measuring, "NETWORKS", {"narrow": narrow})
    monkeypatch.setattr(measuring, "PROBES", (("narrow", "lora", 4), ("narrow", "prompt_tuning", 8)))
    found = measuring.measured(seconds=0.0)
    assert [row["what"].rpartition(", ")[2] for row in found["passes"]] == ["step", "evaluation"] * 2
    assert all(row["seconds"] > 0 and row["flops"] > 0 for row in found["passes"])
    assert 0 < found["at_work"] <= 1 and found["attaching"] > 0
    assert len(fitted([found], threads=1, start=5.0).timed) == 4


def test_a_calibration_is_kept_for_its_workers_and_threads_alone(cache, monkeypatch):
    monkeypatch.setattr(calibration, "_measure", lambda *_: [seen(), seen()])
    assert place(None, workers=2, threads=1) is next(iter(DEVICES.values()))
    kept = calibrate(workers=2, threads=1, environment={})
    assert place("here", workers=2, threads=1) == place(None, workers=2, threads=1) == kept
    with pytest.raises(BadInput, match="not measured yet with 1 x 2 threads; run: bench calibrate --workers 1"):
        place("here", workers=1, threads=2)


@pytest.mark.parametrize("damage", [lambda text: text[:40], lambda text: text.replace('"version": 2', '"version": 1')])
def test_a_torn_file_or_one_of_another_version_counts_as_none(cache, monkeypatch, damage):
    monkeypatch.setattr(calibration, "_measure", lambda *_: [seen()])
    calibrate(workers=1, threads=1, environment={})
    (file,) = (cache / "calibrations").iterdir()
    file.write_text(damage(file.read_text()))
    assert place(None, workers=1, threads=1) is next(iter(DEVICES.values()))


def test_a_process_that_cannot_measure_says_why(cache, monkeypatch):
    monkeypatch.setattr(calibration, "MEASURING", ("-c", "raise SystemExit('no room')"))
    with pytest.raises(Unavailable, match="the processor could not be measured: no room"):
        calibrate(workers=1, threads=1, environment={})


def test_the_command_prints_what_it_has_found(cache, monkeypatch):
    slow = {**seen(), "at_work": 0.5}
    monkeypatch.setattr(calibration, "_measure", lambda *_: [slow, slow])
    printed = CliRunner().invoke(app, ["calibrate", "--workers", "2", "--threads", "1"]).output
    assert "50 GFLOP/s in large products, 2.0 us an operator" in printed
    assert "other work had 50% of the time" in printed


def test_the_device_of_an_experiment_has_to_be_there():
    with pytest.raises(BadInput, match=r"runtime\.device: no mps device"):
        place(None, 1, 1, demo_cell(runtime={"device": "mps"}).runtime.device)


def test_a_run_is_timed_around_its_trials(monkeypatch):
    began = time.perf_counter()
    assert 1 < calibration.around(1, 1, os.environ) < time.perf_counter() - began
    monkeypatch.setattr(calibration, "RUN", ("-c", "raise SystemExit('no room')"))
    with pytest.raises(Unavailable, match="a run without training could not be timed: no room"):
        calibration.around(1, 1, os.environ)


@pytest.mark.parametrize(
    ("name", "gib", "found"),
    [
        ("Tesla T4", 14.6, "t4"),
        ("NVIDIA A100-SXM4-80GB", 79.2, "a100"),
        ("NVIDIA H100 80GB HBM3", 79.1, "h100"),
        ("NVIDIA GeForce RTX 4090", 23.6, "rtx4090"),
        ("NVIDIA L40S", 44.4, "l40s"),
        ("NVIDIA T400 4GB", 3.8, None),
        ("NVIDIA GeForce GT 430", 1.0, None),
        ("NVIDIA A100-SXM4-40GB", 39.4, None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 15.7, None),
    ],
)
def test_a_gpu_is_that_of_the_table_by_whole_words_of_its_name_and_by_its_memory(monkeypatch, name, gib, found):
    monkeypatch.setattr("bench.planning.places.resolve_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=gib * 2**30))
    assert this_machine(1, 1) == (DEVICES[found] if found else None)
