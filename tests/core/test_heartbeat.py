"""What tells a trial that is slow from one that hangs."""

from __future__ import annotations

from bench.core import heartbeat
from bench.core.heartbeat import Pulse, beat


def test_a_trial_lives_while_it_loads_and_then_as_long_as_it_gets_on(monkeypatch):
    pulse = Pulse()
    assert pulse.alive() and pulse.alive(), "loading"
    beat()
    assert pulse.alive()
    assert not pulse.alive() and not pulse.alive(), "nothing since the last look"
    beat()
    assert pulse.alive()
    pulse.begin()
    assert pulse.alive() and pulse.alive(), "the next trial loads"
    monkeypatch.setattr(heartbeat, "LOADING_SECONDS", 0.0)
    assert not pulse.alive(), "for so long and no longer"
