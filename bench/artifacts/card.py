"""The model card of an exported final: written from its record alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from bench.datasets import datasets
from bench.datasets.answers import LabelWord
from bench.methods.tokens import after_template
from bench.models.kinds import Kind
from bench.reporting import text
from bench.runs.record import TrialRecord


def model_card(record: TrialRecord, folder: Path) -> str:
    """Return the card of a folder that holds a run's trained weights, in Markdown with the hub's metadata."""
    return f"---\n{_metadata(record, folder).to_yaml()}\n---\n\n" + "\n\n".join(_paragraphs(record, folder)) + "\n"


def _metadata(record: TrialRecord, folder: Path) -> ModelCardData:
    cell = record.spec.cell
    hub_id = str(cell.dataset.options.get("id", ""))
    base = cell.model.options.get("id") if cell.model else None
    adapter = (folder / "adapter_config.json").is_file()
    return ModelCardData(
        model_name=f"{cell.method.label} of {cell.labels[0]} on {cell.dataset.label}",
        base_model=str(base) if base else None,
        library_name="peft" if adapter else "transformers",
        datasets=[hub_id] if hub_id else None,
        pipeline_tag="text-generation" if kind_of(folder).generates else "text-classification",
        tags=["promptscale", cell.method.name],
        eval_results=[
            EvalResult(
                task_type="text-classification" if _labels(record) else "text-generation",
                dataset_type=hub_id or cell.dataset.label,
                dataset_name=cell.dataset.label,
                metric_type=name,
                metric_value=value,
            )
            for name, value in (record.test.metrics if record.test else {}).items()
        ],
    )


def _paragraphs(record: TrialRecord, folder: Path) -> Iterator[str]:
    spec, cell = record.spec, record.spec.cell
    yield f"# {text.markdown(f'{cell.method.label} of {cell.labels[0]} on {cell.dataset.label}')}"
    yield (
        f"{spec.kind.capitalize()} {spec.number} of experiment {text.markdown(spec.experiment)}, made with "
        "promptscale. All of the run is in [run.json](run.json): settings, curves, versions, predictions by hash."
    )
    training = spec.training.model_dump(exclude_defaults=True)
    yield "## Method\n\n" + _bullets([("method", cell.method.name), *spec.method_options.items(), *training.items()])
    counts = record.parameters
    if counts:
        yield (
            f"{counts.trainable:,} trained parameters of {counts.total:,} ({text.percent(counts.percent)} %), "
            f"{text.file_size(counts.adapter_bytes)} of weights."
        )
    yield "## Data\n\n" + _bullets(_data(record))
    yield "## Score\n\n" + _bullets(_scores(record))
    yield "## Use\n\n" + _use(record, folder)


def _data(record: TrialRecord) -> list[tuple[str, object]]:
    entry, provenance = record.spec.cell.dataset, record.provenance
    kind = datasets.get(entry.name) if entry.name in datasets else None
    return [
        ("data set", entry.options.get("id") or entry.label),
        ("licence", getattr(kind, "license", None)),
        ("template", json.dumps(entry.options.get("template", ""), ensure_ascii=False)),
        ("label words", ", ".join(_labels(record))),
        ("sha256 of the splits", provenance.data_revision),
    ]


def _scores(record: TrialRecord) -> list[tuple[str, object]]:
    cell, test = record.spec.cell, record.test
    where = f"fold {record.spec.fold} of {cell.folds}" if cell.folds else "test split"
    number = next((len(one.ids) for one in (record.predictions, record.answers) if one is not None), 0)
    rows: list[tuple[str, object]] = [
        (f"{name} ({where}, {number} examples)", text.score(value))
        for name, value in (test.metrics if test else {}).items()
    ]
    rows.append((f"{cell.objective} (validation, best step {record.best_step})", text.score(record.objective)))
    return [*rows, ("seed", record.spec.seed)]


def _use(record: TrialRecord, folder: Path) -> str:
    parts = [
        "In promptscale, with `DIR` for this folder (`--file TABLE` where the template names several columns):\n\n"
        "    bench predict DIR --text 'a text for the template'",
    ]
    entry = record.spec.cell.model
    kind = kind_of(folder)
    auto = kind.auto_class_name
    head = f", num_labels={len(_labels(record))}" if not kind.generates else ""
    if (folder / "adapter_config.json").is_file() and entry is not None:
        revision = record.provenance.model_revision
        if "id" in entry.options:
            load = f'base = {auto}.from_pretrained("{entry.options["id"]}", revision="{revision}"{head})'
        elif entry.name != "local":
            load = (
                "from bench.models import models  # the base model comes from a package; see `bench show model "
                f"{entry.name}`\n\n"
                f'base = {auto}.from_pretrained(models.build("{entry.name}", {{}}, "").folder(){head})'
            )
        else:
            load = f'base = {auto}.from_pretrained("..."{head})  # a local model; sha256 of its weights: {revision}'
        parts.append(
            "With PEFT:\n\n```python\nfrom peft import PeftModel\n"
            f'from transformers import {auto}\n\n{load}\nmodel = PeftModel.from_pretrained(base, "DIR")\n```'
        )
    elif (folder / "config.json").is_file():
        parts.append(
            "With transformers (all weights are in the folder):\n\n```python\n"
            f'from transformers import {auto}, AutoTokenizer\n\nmodel = {auto}.from_pretrained("DIR")\n'
            'tokenizer = AutoTokenizer.from_pretrained("DIR")\n```'
        )
    parts.append(f"The model reads the template with the text in it. {_answers(record, kind)}")
    return "\n\n".join(parts)


def _answers(record: TrialRecord, kind: Kind) -> str:
    """Say how the model answers."""
    entry = record.spec.cell.dataset
    answer = datasets.build(entry.name, entry.options, entry.label).answer if entry.name in datasets else LabelWord()
    if answer.writes:
        settings = answer.generate.model_dump_json(exclude_defaults=True)
        return f"It writes the answer, and then its end token. Answers were written with `{settings}`."
    if not kind.generates:
        words = ", ".join(map(text.markdown, _labels(record)))
        return f"The logits of its classification head are those of {words}, in this order."
    if not answer.same_for_all:
        return "Its answer is that of the row's options whose tokens have the highest mean log-likelihood behind it."
    return f"It answers with the label word whose tokens have the highest mean log-likelihood. {_written(record, kind)}"


def _written(record: TrialRecord, kind: Kind) -> str:
    """Say how the label words are written: a tokenizer makes other tokens of a word behind a space."""
    if not kind.continues:
        return "The words stand alone, in the decoder, without a space before them."
    template = str(record.spec.cell.dataset.options.get("template", "{text}"))
    words = [after_template(template, word) for word in _labels(record)]
    if any(word.startswith(" ") for word in words):
        shown = ", ".join(f"`{word}`" for word in words)
        return f"The words take a leading space, as they stand behind the template: {shown}."
    return "The template ends in a space or a new line of its own, so the words take no leading space."


def kind_of(folder: Path) -> Kind:
    """Return the kind of network that a folder's weights are for: as peft's adapter says, or its own configuration."""
    if (adapter := folder / "adapter_config.json").is_file():
        task = json.loads(adapter.read_text(encoding="utf-8")).get("task_type")
        return next((kind for kind in Kind if kind.task_type == task), Kind.CAUSAL)
    if (folder / "config.json").is_file():
        from transformers import AutoConfig

        return Kind.of(AutoConfig.from_pretrained(folder))
    return Kind.CAUSAL


def _labels(record: TrialRecord) -> list[str]:
    return record.predictions.labels if record.predictions else []


def _bullets(rows: list[tuple[str, object]]) -> str:
    shown = [(name, value) for name, value in rows if value not in (None, "", [], ())]
    return "\n".join(f"- {text.markdown(name.replace('_', ' '))}: {text.markdown(str(value))}" for name, value in shown)
