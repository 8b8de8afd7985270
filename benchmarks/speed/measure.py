"""The measurements: both sides in one process, turn by turn; a ratio only after the losses have agreed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import torch

from bench.forward.settings import Generate
from bench.training.answers import Pair
from bench.training.evaluation import Scorer
from bench.training.memory import LiveTensors
from benchmarks.speed.peers import generate, plain_steps, predict, with_plain_loop, with_trainer
from benchmarks.speed.workload import Ours, Work

TOLERANCE = 1e-5
WARM_UP = 2
"""Steps at the beginning that are not counted: allocations, the optimizer's state."""

Peer = Literal["trainer", "loop", "labelled"]
PEERS = {
    "trainer": with_trainer,
    "loop": with_plain_loop,
    "labelled": partial(with_plain_loop, length=None, labelled_head=True),
}


class Disagreement(Exception):
    """The two sides do not compute the same: their times may not be compared."""


@dataclass(frozen=True)
class Ratio:
    """How many times faster our side is: the median of the ratios by turn, and their quartiles."""

    median: float
    low: float
    high: float
    ours: float
    """Median seconds of our side."""
    theirs: float
    """Median seconds of the peer."""
    turns: int
    loss_gap: float
    """Largest relative difference of the losses."""

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float], gap: float) -> Ratio:
        """Summarise the seconds of each turn."""
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
        return cls(
            statistics.median(ratios) if len(ratios) > 1 else median,
            low,
            high,
            statistics.median(ours),
            statistics.median(theirs),
            len(ratios),
            gap,
        )


def training(work: Work, peer: Peer, steps: int) -> dict[str, Any]:
    """Time ``steps`` counted training steps of both sides.

    Raises:
        Disagreement: a loss differs by more than 1e-5, relative.
    """
    ours = Ours(work)
    try:
        network = ours.peer_network()
        batches = ours.batches(steps + WARM_UP)
        losses: list[float] = []
        seconds: list[float] = []

        def turn(index: int) -> None:
            began = time.perf_counter()
            losses.append(ours.step(batches[index]).loss)
            seconds.append(time.perf_counter() - began)

        theirs, their_seconds = PEERS[peer](network, ours.base.tokenizer, batches, work.settings, turn)
        gap = max(abs(a - b) / abs(b) for a, b in zip(losses, theirs, strict=True))
        if gap > TOLERANCE:
            raise Disagreement(f"{work.title}: losses differ by {gap:.1e}: {losses} against {theirs}")
    finally:
        ours.close()
    return asdict(Ratio.of(seconds[WARM_UP:], their_seconds[WARM_UP:], gap)) | {"path": ours.tuned.pathway.name}


def curve(works: Mapping[int, Work], steps: int) -> dict[str, Any]:
    """Time ``steps`` counted steps of both sides for each work, all of them in each turn.

    Seconds of different minutes make no curve on a machine whose speed changes; here every point of both
    lines is measured once in a turn. The peer is PEFT with the plain loop, padded to a batch's longest.

    Args:
        works: by what the curve is over, in the order of the axis; of one model.
        steps: turns that count.

    Raises:
        Disagreement: a loss differs by more than 1e-5, relative.
    """
    sides = {value: Ours(work) for value, work in works.items()}
    mine: dict[int, list[float]] = {value: [] for value in works}
    theirs: dict[int, list[float]] = {value: [] for value in works}
    gaps = dict.fromkeys(works, 0.0)
    try:
        batches = {value: ours.batches(steps + WARM_UP) for value, ours in sides.items()}
        peers = {
            value: plain_steps(ours.peer_network(), ours.base.tokenizer, batches[value], ours.work.settings)
            for value, ours in sides.items()
        }
        for turn in range(steps + WARM_UP):
            for value, ours in sides.items():
                loss, seconds = next(peers[value])
                theirs[value].append(seconds)
                began = time.perf_counter()
                gaps[value] = max(gaps[value], abs(ours.step(batches[value][turn]).loss - loss) / abs(loss))
                mine[value].append(time.perf_counter() - began)
                if gaps[value] > TOLERANCE:
                    raise Disagreement(f"{ours.work.title}: losses differ by {gaps[value]:.1e}")
    finally:
        for ours in sides.values():
            ours.close()
    points = {
        str(value): asdict(Ratio.of(mine[value][WARM_UP:], theirs[value][WARM_UP:], gaps[value])) for value in works
    }
    return {"points": points, "median": list(points.values())[-1]["median"]}


def evaluation(work: Work, turns: int) -> dict[str, Any]:
    """Time the evaluation of the test split; the predictions have to be the same."""
    ours = Ours(work)
    try:
        network = ours.peer_network()
        inputs, _ = ours.encoder.inputs(ours.splits.test, None)
        pairs: list[Pair] = [
            (ids, ours.encoder.label_ids[e.label]) for ids, e in zip(inputs, ours.splits.test, strict=True)
        ]
        words = [ids[0] for ids in ours.encoder.label_ids]
        scorer = Scorer(ours.tuned, ours.encoder, None, work.batch_size)
        mine, theirs = [], []
        for _ in range(turns + 1):
            labels, seconds = predict(network, ours.base.tokenizer, pairs, words, work.batch_size)
            theirs.append(seconds)
            began = time.perf_counter()
            scores = scorer.run(ours.splits.test).scores
            mine.append(time.perf_counter() - began)
            if scores.argmax(1).tolist() != labels:
                raise Disagreement(f"{work.title}: the predictions differ")
    finally:
        ours.close()
    return asdict(Ratio.of(mine[1:], theirs[1:], 0.0))


def generation(work: Work, answers: int, tokens: int) -> dict[str, Any]:
    """Time greedy answers of both sides, a batch a turn, each of inputs of one length.

    Of one length, for behind a prompt PEFT counts padding as positions: a padded input is further from its prompt, and
    gets another answer than alone. Rounding may turn a tie between two tokens, after which an answer goes its own way.

    Raises:
        Disagreement: less than nine in ten answers are the same, token for token.
    """
    ours = Ours(work)
    try:
        network = ours.peer_network().eval()
        inputs, _ = ours.encoder.inputs(ours.splits.train, None)
        batches = _of_one_length(inputs, work.batch_size)[: max(1, answers // work.batch_size)]
        settings, same = Generate(max_new_tokens=tokens), 0
        mine: list[float] = []
        theirs: list[float] = []
        for batch in [batches[0], *batches]:  # the first one warms up
            expected, seconds = generate(network, ours.base.tokenizer, batch, tokens)
            theirs.append(seconds)
            began = time.perf_counter()
            found = ours.tuned.generate(batch, settings, batch_size=work.batch_size)
            mine.append(time.perf_counter() - began)
            same += sum(list(one.ids) == ids for one, ids in zip(found, expected, strict=True))
    finally:
        ours.close()
    share = same / (work.batch_size * (1 + len(batches)))
    if share < 0.9:
        raise Disagreement(f"{work.title}: {share:.0%} of the answers are the same")
    return asdict(Ratio.of(mine[1:], theirs[1:], 0.0)) | {"same": share}


def _of_one_length(inputs: Sequence[list[int]], size: int) -> list[list[list[int]]]:
    """Return whole batches of inputs of the same length."""
    by_length: dict[int, list[list[int]]] = {}
    for ids in inputs:
        by_length.setdefault(len(ids), []).append(ids)
    return [group[at : at + size] for group in by_length.values() for at in range(0, len(group) - size + 1, size)]


def live_bytes(work: Work) -> dict[str, Any]:
    """Return the peak of live tensor bytes in a step, weights included and without them, on both sides."""
    from transformers import DataCollatorForSeq2Seq

    from benchmarks.speed.peers import rows

    ours = Ours(work)
    try:
        network = ours.peer_network()
        (pairs,) = ours.batches(1)
        ours.step(pairs)
        weights = sum(p.numel() * p.element_size() for p in ours.base.network.parameters())
        with LiveTensors([*ours.base.network.parameters(), *ours.tuned.trainable().values()]) as mine:
            ours.step(pairs)
        batch = DataCollatorForSeq2Seq(ours.base.tokenizer)(rows(pairs))
        with LiveTensors(list(network.parameters())) as theirs:
            network(**batch).loss.backward()
    finally:
        ours.close()
    return {
        "ours": mine.peak,
        "theirs": theirs.peak,
        "weights": weights,
        "share": mine.peak / theirs.peak,
        "share_without_weights": (mine.peak - weights) / (theirs.peak - weights),
    }


def utilisation(work: Work, steps: int) -> dict[str, Any]:
    """Return the share of the machine's matrix-product peak that a step's useful work reaches.

    Useful are the multiply-adds of the linear layers for real tokens, the prompt once, forward and
    backward (a frozen layer's backward is one product, a trained one's two), and of the head and of the last
    layer's feed-forward where a token is asked for. The peak is that of a square product of 2,048, taken turn by
    turn with the steps.
    """
    ours = Ours(work)
    try:
        batches = ours.batches(steps + WARM_UP)
        head = ours.base.network.get_output_embeddings()
        last = ours.base.network.base_model.layers[-1].mlp
        asked_for = {head, *last.modules()}
        layers, answering = (
            sum(
                m.weight.numel()
                for m in ours.base.network.modules()
                if isinstance(m, torch.nn.Linear) and (m in asked_for) == where_asked
            )
            for where_asked in (False, True)
        )
        shares, peaks, seconds = [], [], []
        for pairs in batches:
            began = time.perf_counter()
            ours.step(pairs)
            took = time.perf_counter() - began
            best = peak()
            tokens = work.virtual_tokens + sum(len(ids) + len(target) - 1 for ids, target in pairs)
            asked = sum(len(target) for _, target in pairs)
            passes = 3 if work.method == "full_fine_tuning" else 2
            flops = 2 * passes * (tokens * layers + asked * answering)
            shares.append(flops / took / best)
            peaks.append(best)
            seconds.append(took)
    finally:
        ours.close()
    return {
        "share": statistics.median(shares[WARM_UP:]),
        "peak_flops": statistics.median(peaks),
        "seconds": statistics.median(seconds[WARM_UP:]),
    }


def peak(size: int = 2048, repeats: int = 3) -> float:
    """Return the floating-point operations a second of a large square product."""
    a = torch.randn(size, size)
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best
