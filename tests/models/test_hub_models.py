"""Models of the hub: cached ones need no network, missing ones give one line."""

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from bench.core.errors import BadInput, Unavailable
from bench.models import models
from bench.models.hub import Hub, wanted

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = ("config.json", "model.safetensors", "tokenizer.json")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def hub_down(monkeypatch):
    """No test talks to the hub."""
    answer(monkeypatch, ConnectionError("Name or service not known"))


def answer(monkeypatch, error: Exception) -> None:
    def raise_it(*args, **options):
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", raise_it)


def put_in_cache(cache: Path, files=FILES) -> Path:
    repository = cache / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in files:
        (snapshot / name).write_text("{}")
    return snapshot


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_cached_model_needs_no_network_and_its_revision_is_the_commit(cache, revision):
    snapshot = put_in_cache(cache)
    model = Hub(id="owner/name", revision=revision)

    model.prepare()

    assert [download.cached for download in model.downloads()] == [True]
    assert model.folder() == snapshot
    assert model.revision_id() == COMMIT


def test_without_cache_and_network_one_line_names_the_model_and_what_to_do(cache):
    model = Hub(id="owner/name")
    assert [(download.size, download.cached) for download in model.downloads()] == [(None, False)]
    with pytest.raises(Unavailable, match=r"owner/name is not in the hub's cache.*'local'") as error:
        model.prepare()
    assert "\n" not in str(error.value)


def test_a_snapshot_that_is_not_complete_counts_as_missing(cache):
    put_in_cache(cache, ["config.json", "tokenizer.json"])
    assert [download.cached for download in Hub(id="owner/name").downloads()] == [False]
    with pytest.raises(Unavailable):
        Hub(id="owner/name").folder()


@pytest.mark.parametrize(
    ("kind", "expected", "said"),
    [
        (errors.RepositoryNotFoundError, BadInput, "no such model"),
        (errors.RevisionNotFoundError, BadInput, "no revision 'main'"),
        (errors.GatedRepoError, Unavailable, "is gated: accept its terms"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(cache, monkeypatch, kind, expected, said):
    error = kind.__new__(kind)  # what its __init__ wants differs between releases
    error.args = ("refused\nwith many lines",)
    answer(monkeypatch, error)
    with pytest.raises(expected, match=said) as raised:
        Hub(id="owner/name").prepare()
    assert "\n" not in str(raised.value)


def test_a_model_is_fetched_without_the_files_that_nobody_reads(cache, monkeypatch):
    listed = [*FILES, "pytorch_model.bin", "onnx/model.onnx", "flax_model.msgpack", "README.md"]
    info = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in listed])
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *args, **options: info)
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, revision, allow_patterns: put_in_cache(cache, allow_patterns),
    )
    model = Hub(id="owner/name")

    assert sorted(path.name for path in model.folder().iterdir()) == sorted(FILES)


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["pytorch_model.bin", "tf_model.h5"], ["pytorch_model.bin"]),
        (["model.safetensors", "model.fp16.safetensors", "consolidated.safetensors"], ["model.safetensors"]),
        (
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ),
        (["model.safetensors-00001-of-00001.safetensors"], ["model.safetensors-00001-of-00001.safetensors"]),
        (["pytorch_model-00001-of-00001.bin", "training_args.bin"], ["pytorch_model-00001-of-00001.bin"]),
    ],
)
def test_weights_of_one_format_are_fetched(files, weights):
    assert wanted(files) == weights


def test_a_path_is_no_id_of_the_hub():
    with pytest.raises(BadInput, match="use the model 'local'"):
        models.build("hub", {"id": "./my/model"}, "x.yaml: models[0].hub")
