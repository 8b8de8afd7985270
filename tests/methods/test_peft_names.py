"""PEFT's own names of options are ours too: in files, in changes, in searches and in overrides."""

from __future__ import annotations

import dataclasses
from functools import cache

import peft
import pytest
from pydantic import ValidationError

from bench.core.config import aliases
from bench.core.errors import BadInput
from bench.experiment.expansion import plan_cells
from bench.experiment.file import parse_experiment
from bench.methods import methods

CONFIGS = {
    "lora": peft.LoraConfig,
    "adalora": peft.AdaLoraConfig,
    "vera": peft.VeraConfig,
    "prompt_tuning": peft.PromptTuningConfig,
    "p_tuning": peft.PromptEncoderConfig,
    "prefix_tuning": peft.PrefixTuningConfig,
}
SAME = [
    ("lora", {"r": 4, "lora_alpha": 16, "lora_dropout": 0.1, "use_rslora": True},
     {"rank": 4, "alpha": 16, "dropout": 0.1, "rslora": True}),
    ("lora", {"r": 4, "use_dora": True, "target_modules": ["q_proj"]},
     {"rank": 4, "dora": True, "target_modules": ["q_proj"]}),
    ("adalora", {"target_r": 4, "init_r": 9, "deltaT": 5, "orth_reg_weight": 0.3},
     {"rank": 4, "initial_rank": 9, "allocation_interval": 5, "orthogonal_weight": 0.3}),
    ("vera", {"r": 16, "d_initial": 0.2, "vera_dropout": 0.1, "projection_prng_key": 3},
     {"rank": 16, "initial_d": 0.2, "dropout": 0.1, "projection_seed": 3}),
    ("prompt_tuning", {"prompt_tuning_init": "TEXT", "prompt_tuning_init_text": "Is it?"},
     {"init": "text", "init_text": "Is it?", "init_special_tokens": True}),
    ("prompt_tuning", {"prompt_tuning_init": "RANDOM"}, {"init": "random", "init_scale": "normal"}),
    ("prompt_tuning", {"prompt_tuning_init": "SAMPLE_VOCAB"}, {"init": "vocab", "init_vocab": "all"}),
    ("p_tuning", {"encoder_reparameterization_type": "LSTM", "encoder_hidden_size": 32, "encoder_num_layers": 1,
                  "encoder_dropout": 0.1},
     {"encoder": "lstm", "hidden_size": 32, "lstm_layers": 1, "lstm_dropout": 0.1}),
    ("prefix_tuning", {"prefix_projection": True, "encoder_hidden_size": 64}, {"projection": True, "hidden_size": 64}),
    ("prefix_tuning", {"init_weights": "zero"}, {"init": "zero"}),
]  # fmt: skip


def cells(method, *changes, **more):
    data = {"name": "x", "models": ["smollm2-135m"], "datasets": ["trec6"], "methods": [method], **more}
    return plan_cells(parse_experiment(data, "x.yaml", changes), "x.yaml")


@cache
def hash_of(method, *changes):
    return cells(method, *changes)[0].hash


@pytest.mark.parametrize(("name", "theirs", "ours"), SAME)
def test_a_cell_in_pefts_names_is_the_same_cell(name, theirs, ours):
    assert cells({name: theirs})[0].hash == cells({name: ours})[0].hash


@pytest.mark.parametrize("name", CONFIGS)
def test_every_alias_is_a_field_of_pefts_class(name):
    fields = {field.name for field in dataclasses.fields(CONFIGS[name])}
    found = aliases(methods.get(name))
    assert found
    assert {alias.name for alias in found.values()} <= fields


def test_a_change_a_search_and_an_override_take_them_too():
    expected = cells({"lora": {"rank": 4, "search": {"rank": [2, 4]}}}, overrides=[{"options": {"alpha": 3}}])[0]
    found = cells(
        "lora",
        "methods.0={lora: {search: {r: [2, 4]}}}",
        "methods.0.lora.r=4",
        overrides=[{"options": {"lora_alpha": 3}}],
    )[0]
    assert found.hash == expected.hash
    assert set(found.search) == {"learning_rate", "rank"}


def test_an_override_may_use_the_other_name():
    overridden = cells({"lora": {"r": 4}}, overrides=[{"options": {"rank": 8}, "search": {"r": 8}}])[0]
    assert overridden.method.options["rank"] == 8
    assert "rank" not in overridden.search


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"r": 4, "rank": 4}, "x.yaml: methods[0].lora: rank and r are two names of one option; give one of them"),
        ({"r": 0}, "x.yaml: methods[0].lora.rank (or r): input should be greater than 0, found 0"),
        ({"rank": 0}, "x.yaml: methods[0].lora.rank (or r): input should be greater than 0, found 0"),
        ({"lora_alhpa": 4}, "x.yaml: methods[0].lora.lora_alhpa: unknown key; did you mean 'lora_alpha'?"),
        ({"search": {"r": [0, 4]}}, "methods[0].lora.search.rank (or r): input should be greater than 0, found 0"),
        ({"search": {"r": 4, "rank": 8}}, "rank and r are two names of one option; give one of them"),
        ({"search": {"lora_alhpa": 4}}, "unknown parameter 'lora_alhpa'; did you mean 'lora_alpha'?"),
    ],
)  # fmt: skip
def test_an_error_says_both_names(options, said):
    with pytest.raises(BadInput) as error:
        cells({"lora": options})
    assert said in str(error.value)


def test_a_word_of_peft_among_choices_is_refused_with_ours():
    with pytest.raises(BadInput, match="'SAMPLE_VOCAB' is PEFT's word; in a search say 'vocab'"):
        cells({"prompt_tuning": {"search": {"init": ["text", "SAMPLE_VOCAB"]}}})


def test_what_is_said_beside_a_word_of_peft_wins():
    method = methods.get("prompt_tuning")
    assert method(prompt_tuning_init="RANDOM", init_scale="uniform").init_scale == "uniform"
    with pytest.raises(ValidationError):
        method(init="ELSEWHERE")
