"""A final as a folder that others can load: its weights, its record, and a model card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bench.artifacts.card import model_card
from bench.artifacts.runs import RECORD_FILE, FinishedRun
from bench.core.errors import BadInput, Unavailable, one_line
from bench.core.files import write_atomic
from bench.runs.record import TrialRecord

ADAPTER_CONFIG = "adapter_config.json"


def export(run: FinishedRun, folder: Path) -> None:
    """Write a folder with the trained weights, ``run.json`` (the record) and ``README.md`` (the model card).

    The adapter names its base model by its id on the hub, or by its name here: never by a path of this machine.

    Raises:
        BadInput: the run trained nothing, or the folder is not empty or cannot be written.
    """
    if run.adapter is None:
        method = run.record.spec.cell.method.label
        raise BadInput(f"{run.path}: {method} trains nothing, so there is nothing to export")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise BadInput(f"{folder}: is not empty; choose another folder")
        shutil.copytree(run.adapter, folder, dirs_exist_ok=True)
        _name_base(folder / ADAPTER_CONFIG, run.record)
        # A folder for others need not say on which machine it was made.
        provenance = run.record.provenance.model_copy(update={"host": None})
        record = run.record.model_copy(update={"provenance": provenance})
        write_atomic(folder / RECORD_FILE, (record.model_dump_json(indent=1) + "\n").encode())
        write_atomic(folder / "README.md", model_card(run.record, folder).encode())
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error.strerror or error}") from None


def is_whole_model(folder: Path) -> bool:
    """Whether a folder holds all weights of a model, not an adapter."""
    return (folder / "config.json").is_file() and not (folder / ADAPTER_CONFIG).is_file()


def push(folder: Path, repository: str) -> str:
    """Upload an exported folder into a private repository of the hub, and return its address.

    Raises:
        Unavailable: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        # Private: what is published is its owner's decision, not a side effect.
        address = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder)
    except Exception as error:  # which network errors there are differs between releases of the hub client
        said = one_line(error, 300)
        raise Unavailable(f"{folder} is written, but cannot be pushed to {repository}: {said}") from error
    return str(address)


def _name_base(file: Path, record: TrialRecord) -> None:
    """Write the base model's id on the hub and its commit into an adapter's configuration, or its name here."""
    entry = record.spec.cell.model
    if file.is_file() and entry is not None:
        name, revision = (entry.name if entry.name != "local" else entry.label), None
        if "id" in entry.options:
            name, revision = str(entry.options["id"]), record.provenance.model_revision
        config = json.loads(file.read_text(encoding="utf-8"))
        config |= {"base_model_name_or_path": name, "revision": revision}
        write_atomic(file, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())
