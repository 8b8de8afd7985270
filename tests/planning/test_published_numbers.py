"""The numbers that papers and guides print, exact, from configurations alone."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import BadInput, Infeasible, Unavailable
from bench.methods import methods
from bench.models import models
from bench.planning.configurations import find, published
from bench.planning.parameters import attach_weightless, parameters_of
from bench.planning.weightless import built, model_config

WIDTHS = {"small": 512, "base": 768, "large": 1024, "xl": 2048, "xxl": 4096}
"""E of Lester et al., 2021, table 4."""
NAMES = sorted(published())


def counted(model, method, **options):
    return parameters_of(attach_weightless(model, method, options, "test"))


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (
            "bigscience/bloomz-560m prompt_tuning --set num_virtual_tokens=8",
            "trainable params: 8,192 || all params: 559,222,784 || trainable%: 0.0014648902430985358",
        ),
        (
            "bloomz-560m p_tuning --set num_virtual_tokens=20 --set hidden_size=128",
            "trainable params: 300,288 || all params: 559,514,880 || trainable%: 0.05366935013417338",
        ),
    ],
)
def test_the_command_prints_what_pefts_guides_print(asked, line):
    done = CliRunner().invoke(app, ["params", *asked.split()])
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == line


def test_a_packaged_model_that_is_here_has_its_parameters_too():
    base = models.build("glasslm-0.9m", {}, "model").load(torch.device("cpu"), torch.float32)
    done = CliRunner().invoke(app, ["params", "glasslm-0.9m", "prompt_tuning", "--set", "num_virtual_tokens=8"])
    width = base.network.get_input_embeddings().embedding_dim
    assert done.output.startswith(f"trainable params: {8 * width:,} || all params: {base.parameters + 8 * width:,} ")


@pytest.mark.parametrize("size", WIDTHS)
def test_t5_trains_p_times_e_parameters_as_in_the_power_of_scale(size):
    for length in (1, 5, 20, 50, 100, 150):
        found = counted(f"t5-v1.1-{size}", "prompt_tuning", num_virtual_tokens=length)
        assert found.trainable == length * WIDTHS[size]
        assert found.total == published()[f"t5-v1.1-{size}"].parameters + found.trainable


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_that_ships_has_the_parameters_that_its_page_states(name):
    model, base = published()[name], built(name, model_config(name))
    number = base.parameters
    if not base.kind.generates:
        with torch.device("meta"):
            number = AutoModel.from_config(base.network.config).num_parameters()
    assert number == model.parameters
    assert find(model.id.upper()) is model


@pytest.mark.parametrize("init", ["random", "text", "vocab", "labels"])
def test_how_a_prompt_begins_changes_no_count(init):
    assert counted("smollm2-135m", "prompt_tuning", init=init).trainable == 20 * 576


def test_lora_counts_what_peft_counts():
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    peer = get_peft_model(built("pythia-70m", model_config("pythia-70m")).network, settings)
    found = counted("pythia-70m", "lora", rank=4)
    assert (found.trainable, found.total) == peer.get_nb_trainable_parameters()


def test_full_fine_tuning_of_a_large_model_is_counted_without_its_memory():
    found = counted("bloomz-7b1", "full_fine_tuning")
    assert found.trainable == found.total == 7_069_016_064
    assert found.percent == 100


@pytest.mark.parametrize(
    ("model", "method", "options", "error", "said"),
    [
        ("bloomz-560", "lora", {}, BadInput, "unknown model 'bloomz-560'; did you mean 'bloomz-560m'"),
        ("nobody/nothing", "lora", {}, Unavailable, "nobody/nothing: no configuration of it ships"),
        ("bloomz-560m", "lorra", {}, BadInput, "unknown method 'lorra'; did you mean 'lora'"),
        ("bloomz-560m", "lora", {"rnak": 4}, BadInput, "unknown key; did you mean 'rank'"),
        ("bloomz-560m", "majority", {}, BadInput, "uses no language model"),
        ("bloomz-560m", "lora", {"target_modules": ["nothing"]}, (BadInput, Infeasible), "nothing"),
    ],
)
def test_what_cannot_be_counted_is_said_in_a_line(model, method, options, error, said):
    with pytest.raises(error) as caught:
        counted(model, method, **options)
    assert said in str(caught.value)


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5"])
@pytest.mark.parametrize("name", [n for n in methods.names() if n != "peft" and methods.get(n).uses_model])
def test_a_configuration_alone_gives_the_counts_that_the_weights_give(tmp_path, name, family):
    from bench.testing.tiny import tiny_model, tiny_splits

    base = tiny_model(family)
    base.network.config.save_pretrained(tmp_path)
    try:
        attached = methods.get(name)().attach(base, tiny_splits(), 0)
    except Infeasible as error:
        with pytest.raises(Infeasible) as caught:
            counted(str(tmp_path), name)
        assert str(caught.value) == str(error)
        return
    assert counted(str(tmp_path), name) == parameters_of(attached)
