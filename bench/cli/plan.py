"""``bench plan``: what a model with a method, or a whole experiment, is going to take."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from bench.api import Plan, plan
from bench.core.errors import BadInput, BenchError, Infeasible
from bench.engines.base import cores
from bench.experiment.file import assigned
from bench.experiment.settings import Training
from bench.methods import methods
from bench.planning.cells import Estimate, estimate
from bench.planning.changes import changes
from bench.planning.data import assumed
from bench.planning.devices import DEVICES
from bench.planning.places import Place, place
from bench.planning.predict import Prediction, predict
from bench.planning.schedule import duration
from bench.planning.trace import KINDS
from bench.planning.weightless import model_config
from bench.planning.work import Work
from bench.reporting.text import file_size, flops

NOT_PREDICTED = (
    "Bytes of live tensors; the allocator's fragments, workspaces of kernels and the context of CUDA come on top "
    "(1.5 GiB are kept free for them). Seconds rest on assumed efficiencies: see docs/planning.md."
)


def plan_one(model: str, method: str, assignments: Sequence[str], on: str | None, tokens: int, batch_size: int) -> None:
    """Print what a training step and an evaluation pass of a model with a method take."""
    where = place(on or next(iter(DEVICES)), 1, cores())
    kind = methods.get(method)
    if not kind.uses_model:
        raise BadInput(f"method '{method}' uses no language model; there is nothing to plan")
    options = assigned({}, assignments)
    own = {key: options.pop(key) for key in list(options) if key in Training.model_fields}
    fields = model_config(model)
    splits, tokenizer = assumed(fields, tokens)
    settings = Training.parse({"batch_size": batch_size, **kind.training_defaults, **own}, "--set")
    dtype = torch.bfloat16 if where.bfloat16 else torch.float32
    work = Work(model, fields, methods.build(method, options, "--set"), splits, tokenizer, settings, dtype)
    found = predict(work)
    counts = found.parameters
    print(f"{counts.trainable:,} of {counts.total:,} parameters are trained ({counts.percent} %)")
    print(
        f"{str(dtype).removeprefix('torch.')}, batches of {settings.batch_size} inputs of {tokens} tokens "
        f"({found.way}), {settings.optimizer}"
    )
    Console().print(_memory(found))
    if found.step:
        seconds = where.seconds(found.step, dtype)
        print(f"a step: {flops(found.step.flops)}, about {seconds:.3g} s on {where.title}")
    _fits(work, found, where)
    print(NOT_PREDICTED)


def plan_file(
    file: Path,
    assignments: Sequence[str],
    workers: int | None,
    on: str | None,
    price: float | None,
    plugins: Sequence[str],
) -> None:
    """Print what every cell of an experiment takes, and all of them."""
    planned = plan(file, changes=assignments, workers=workers, plugins=plugins)
    where = place(on, planned.engine.workers, planned.threads, planned.experiment.runtime.device)
    show_estimates(planned, where, price)


def show_estimates(planned: Plan, on: Place, price: float | None = None) -> None:
    """Print memory and time of the cells of a plan on a device, and the time of each model."""
    console = Console()
    table = Table(title=f"on {on.title}", title_justify="left")
    for heading in ("cell", "peak memory", "fits", "a trial", "trials", "finals"):
        table.add_column(heading, justify="left" if heading in ("cell", "fits") else "right", overflow="fold")
    by_model: dict[str, float] = {}
    notes, large = dict[str, None](), list[Estimate]()
    gc.freeze()  # the objects of torch and transformers, which stay: looking through them takes a tenth of the time
    for cell in track(planned.cells, "estimating", console=console, transient=True):
        try:
            found = estimate(cell, on)
        except BenchError as error:
            kind = "infeasible" if isinstance(error, Infeasible) else "unknown"
            table.add_row(cell.title, "-", f"{kind}: {escape(str(error))}", "-", "-", "-")
            continue
        if found is None:
            table.add_row(cell.title, "-", "no model", "-", "-", "-")
            continue
        seconds = found.seconds
        by_model[cell.labels[0]] = by_model.get(cell.labels[0], 0.0) + seconds.total
        notes.update(dict.fromkeys(f"{cell.labels[0]} / {cell.labels[1]}: {note}" for note in found.assumptions))
        peak = found.prediction.peak
        if peak > on.usable:
            large.append(found)
        times = (seconds.trial, seconds.all_trials, seconds.all_finals)
        fits = "yes" if peak <= on.usable else "no"
        table.add_row(cell.title, file_size(round(peak)), fits, *map(duration, times))
    console.print(table)
    if len(by_model) > 1:
        for model, seconds_of_model in by_model.items():
            print(f"{model}: {duration(seconds_of_model)}")
    print(_total(sum(by_model.values()), planned.engine.workers, on, price))
    for note in notes:
        print(f"assumed for {note}")
    for found in large:
        _fits(found.work, found.prediction, on)
    print(NOT_PREDICTED)


def _total(seconds: float, workers: int, on: Place, price: float | None) -> str:
    shared = "" if workers == 1 else f", {duration(seconds / workers)} with {workers} workers"
    # A processor's workers were measured side by side; a device of the table is thought of as one worker's.
    whole = seconds / workers + on.start if on.start else seconds
    around = f"; {duration(whole)} with start, first scores and report ({duration(on.start)})" if on.start else ""
    money = "" if price is None else f", {price * whole / 3600:.2f} at {price:g} an hour"
    return (
        f"all cells: {duration(seconds)} of one worker{shared}{around}{money}; loading models, and methods without "
        "one, are not counted"
    )


def _memory(found: Prediction) -> Table:
    table = Table("at the peak", *KINDS, "sum", "FLOPs")
    for name, traced in (("step", found.step), ("evaluation", found.evaluation)):
        if traced:
            parts = [file_size(round(traced.bytes[kind])) for kind in KINDS]
            table.add_row(name, *parts, file_size(round(traced.peak)), flops(traced.flops))
    return table


def _fits(work: Work, found: Prediction, on: Place) -> None:
    """Say whether it fits the device, or else what to change."""
    if found.peak <= on.usable:
        print(f"fits {on.title}: {file_size(round(found.peak))} of {file_size(round(on.usable))}")
        return
    title = work.method.title or type(work.method).__name__
    print(f"{work.name} with {title} does not fit {on.title} ({file_size(round(on.usable))}); instead:")
    for words, peak in changes(work, found, on):
        print(f"  {words}: {file_size(round(peak))}, {'fits' if peak <= on.usable else 'does not fit'}")
