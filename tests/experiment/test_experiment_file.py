"""Experiment files: what they may say, and the one clear line for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from demo import demo_spec
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api import plan
from bench.core.config import canonical_json
from bench.core.distributions import Choice, Float, Int
from bench.core.errors import BadInput
from bench.experiment.file import load_experiment
from bench.experiment.grid import own_values
from bench.experiment.schema import Experiment
from bench.experiment.settings import Study
from bench.methods import methods

GOOD = """
name: demo
models: [glasslm-0.9m]
datasets: [trec6]
methods: [lora]
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "x.yaml") -> str:
        Path(name).write_text(text, encoding="utf-8")
        return name

    return write


def message(text_or_file: str, *changes: str) -> str:
    with pytest.raises(BadInput) as error:
        plan(text_or_file, changes=changes)
    return str(error.value)


def test_the_smallest_file_has_a_default_for_everything_else(write):
    (cell,) = plan(write(GOOD)).cells
    assert cell.labels == ("glasslm-0.9m", "trec6", "lora")
    assert cell.training.learning_rate == 5e-4, "the method's own default"
    assert set(cell.search) == {"learning_rate", "rank"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "",
            "x.yaml: expected a mapping at the top (name:, models:, ...), found an empty file",
        ),
        (
            "# nothing\n",
            "x.yaml: expected a mapping at the top (name:, models:, ...), found an empty file",
        ),
        (
            "- a\n",
            "x.yaml: expected a mapping at the top (name:, models:, ...), found list",
        ),
        ("name: a\nname: b\n", "x.yaml, line 2: the key 'name' stands here a second time"),
        ("study:\n  trials: 1\n  trials: 2\n", "x.yaml, line 3: the key 'trials' stands here a second time"),
        ("? [a, b]\n: 1\n", "x.yaml, line 1: a key must be a plain value"),
        ("a: [1\nb: 2\n", "x.yaml, line 2: expected ',' or ']', but got ':'"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor for the tag"),
        ("a: \t\n\tb\n", "found character '\\t' that cannot start any token"),
        ("[" * 1000, "x.yaml: nested too deeply"),
        ("a: 2026-13-01", "x.yaml: not readable YAML: month must be in 1..12"),
    ],
)
def test_a_file_that_is_no_experiment_is_said_so_in_one_line(write, text, said):
    found = message(write(text))
    assert said in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "x.yaml: no such file"),
        (lambda path: path.mkdir(), "x.yaml: is a folder, a file is needed"),
        (lambda path: path.write_bytes(b"name: \xff\xfe"), "x.yaml: cannot be read: 'utf-8' codec can't decode"),
    ],
)
def test_a_path_that_is_no_text_file_is_said_so(tmp_path, monkeypatch, make, said):
    monkeypatch.chdir(tmp_path)
    make(Path("x.yaml"))
    assert said in message("x.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("nmae=x", "x.yaml: nmae: unknown key; did you mean 'name'?"),
        ("study.trails=3", "x.yaml: study.trails: unknown key; did you mean 'trials'?"),
        ("study.trials=many", "x.yaml: study.trials: input should be a valid integer"),
        ("study.trials=-1", "x.yaml: study.trials: input should be greater than or equal to 0, found -1"),
        ("study.sampler=tp", "x.yaml: study.sampler: Optuna has no sampler 'tp' for this; did you mean 'tpe'?"),
        ("study.sampler=TPESampeler", "Optuna has no sampler 'TPESampeler' for this; did you mean 'TPESampler'?"),
        ("study.sampler=GridSampler", "x.yaml: study.sampler: GridSampler needs its points; write 'grid', which takes"),
        ("study.sampler_options={gama: 3}", "study.sampler_options.gama: TPESampler has no such option; did you mean"),
        ("study={sampler: grid, sampler_options: {points: 0}}", "grid takes 'points', a whole number above 0"),
        ("study.pruner=medain", "x.yaml: study.pruner: Optuna has no pruner 'medain' for this; did you mean 'median'?"),
        ("study={pruner: percentile, pruner_options: {percentile: 200}}", "study.pruner_options: PercentilePruner: "),
        ("study.objectives=[scroe]", "x.yaml: study.objectives[0]: input should be 'score', 'trainable_parameters'"),
        ("study.budget={hours: 3}", "x.yaml: study.budget.hours: unknown key"),
        (
            "study.sampler_options={seed: 3}",
            "x.yaml: study.sampler_options.seed: the experiment's own 'seed' seeds",
        ),
        ("study={sampler: grid, sampler_options: {points: x}}", "grid takes 'points', a whole number above 0"),
        ("methods=[{lora: {search: {target_modules: [[a], [b]]}}}]", "a list of lists cannot be searched"),
        ("methods=[{lora: {target_modules: '.*('}}]", "target_modules: '.*(' is no regular expression"),
        ("methods={lora: {rank: 3}}", "x.yaml: methods: input should be a valid list, found a mapping"),
        ("overrides=[{methods: [], trials: 3}]", "x.yaml: overrides[0]: is for no cell"),
        ("overrides=[{skip: true}]", "x.yaml: overrides: every cell is skipped; nothing is left to run"),
        ("name=../up", "x.yaml: name: '../up' is no name that can be shown"),
        ("models=[]", "x.yaml: models: list should have at least 1 item"),
        ("models=[glaslm]", "x.yaml: models[0].glaslm: unknown model 'glaslm'; did you mean 'glasslm-0.9m'?"),
        ("models=[{glasslm-0.9m: {size: 3}}]", "x.yaml: models[0].glasslm-0.9m.size: unknown key"),
        ("datasets=[trec5]", "x.yaml: datasets[0].trec5: unknown data set 'trec5'; did you mean 'trec6'?"),
        (
            "datasets=[{trec6: {metrics: [accuracy, acuracy]}}]",
            "x.yaml: datasets[0].trec6.metrics[1]: unknown metric 'acuracy'; did you mean 'accuracy'?",
        ),
        ("methods=[lorra]", "x.yaml: methods[0]: unknown method 'lorra'; did you mean 'lora'?"),
        ("methods=[{lora: {rnak: 3}}]", "x.yaml: methods[0].lora.rnak: unknown key; did you mean 'rank'?"),
        ("methods=[{lora: {rank: three}}]", "x.yaml: methods[0].lora.rank (or r): input should be a valid integer"),
        ("methods=[{lora: 3}]", "x.yaml: methods[0]: the options of 'lora' must be a mapping, found 3"),
        ("methods=[{lora: , rank: 3}]", "indent the options one level deeper than the name"),
        ("methods=[3]", "x.yaml: methods[0]: expected a name, or 'name: {options}', found 3"),
        ("methods=[lora, lora]", "x.yaml: methods: the label 'lora' is used twice; tell them apart by 'label:'"),
        ("methods=[{lora: {label: A/B}}]", "x.yaml: methods[0].label: 'A/B' is no name that can be shown"),
        ("models=[{glasslm-0.9m: {label: none}}]", "the label 'none' stands for methods without a language model"),
        ("training.max_steps=lots", "x.yaml: training.max_steps: input should be a valid integer"),
        ("training.max_step=3", "x.yaml: training.max_step: unknown key; did you mean 'max_steps'?"),
        ("training.learning_rate=.nan", "x.yaml: training.learning_rate: input should be a finite number"),
        ("methods=[{lora: {training: {lr: 1}}}]", "x.yaml: methods[0].lora.training.lr: unknown key"),
        ("overrides=[{models: [glaslm]}]", "x.yaml: overrides[0].models: no entry has the label 'glaslm'; did you"),
        ("overrides=[{training: {batchsize: 3}}]", "x.yaml: overrides[0].training.batchsize: unknown key; did you"),
        ("overrides=[{runtime: {precison: bfloat16}}]", "x.yaml: overrides[0].runtime.precison: unknown key; did you"),
        (
            "overrides=[{runtime: {threads: 1}}]",
            "x.yaml: overrides[0].runtime.threads: one for all cells",
        ),
        ("overrides=[{options: {rnak: 3}}]", "x.yaml: overrides[0].options.rnak: unknown key; did you mean 'rank'?"),
        ("engine_options={adress: a}", "x.yaml: engine_options.adress: unknown key"),
        ("engine=proceses", "x.yaml: engine: unknown engine 'proceses'; did you mean 'processes'?"),
    ],
)
def test_what_is_wrong_is_named_by_file_key_and_the_nearest_right_thing(write, change, said):
    found = message(write(GOOD), change)
    assert said in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("{learning_rate: {low: 1e-2, high: 1e-3}}", "the range is upside down: low 0.01 is above high 0.001"),
        ("{learning_rate: {low: 0}}", "a logarithmic range must begin above 0, found low 0"),
        ("{learning_rate: {low: -1, high: 1, log: false}}", "input should be greater than 0, found -1"),
        ("{learning_rat: 1e-3}", "search: unknown parameter 'learning_rat'; did you mean 'learning_rate'?"),
        ("{rank: {low: 0.5}}", "search.rank.low: input should be a valid integer"),
        ("{rank: [4, many]}", "search.rank (or r): input should be a valid integer"),
        ("{rank: []}", "search.rank.choices: "),
        ("{rank: 0}", "search.rank (or r): input should be greater than 0, found 0"),
        ("{rank: {kind: float, low: 2, high: 8}}", "search.rank.kind: unknown key; the parameter's own type says"),
        ("{rank: {hgih: 4}}", "search.rank.hgih: unknown key; did you mean 'high'?"),
        ("{dropout: {low: 0.0}}", "search.dropout.high: this key is missing"),
    ],
)
def test_a_search_space_that_cannot_be_is_refused_with_its_place(write, search, said):
    found = message(write(GOOD), f"methods=[{{lora: {{search: {search}}}}}]")
    assert found.startswith("x.yaml: methods[0].lora.search")
    assert said in found


def test_a_search_may_change_a_range_name_choices_or_fix_a_value(write):
    search = "{learning_rate: {high: 1e-2}, rank: [4, 16], alpha: 32, dropout: {low: 0, high: 0.5}}"
    (cell,) = plan(write(GOOD), changes=[f"methods=[{{lora: {{search: {search}}}}}]"]).cells
    assert cell.search == {
        "learning_rate": Float(low=5e-5, high=1e-2, log=True),
        "rank": Choice(choices=(4, 16)),
        "dropout": Float(low=0, high=0.5),
    }
    assert cell.method.options["alpha"] == 32


def test_whole_ends_of_a_real_parameter_do_not_make_it_whole(write):
    (cell,) = plan(write(GOOD), changes=["methods=[{lora: {search: {weight_decay: {low: 0, high: 1}}}}]"]).cells
    assert cell.search["weight_decay"] == Float(low=0, high=1)


def test_choices_can_become_a_range_again_for_one_cell(write):
    changes = [
        "methods=[{lora: {search: {rank: [4, 16]}}}]",
        "overrides=[{models: [glasslm-0.9m], search: {rank: {low: 2, high: 3}}}]",
    ]
    (cell,) = plan(write(GOOD), changes=changes).cells
    assert cell.search["rank"] == Int(low=2, high=3, log=True), "on the scale of the method's own range"


def test_a_value_that_is_fixed_leaves_the_search_and_with_it_the_study(write):
    changes = ["methods=[{lora: {search: {rank: 4, learning_rate: 1e-3}}}]", "study.trials=9"]
    (cell,) = plan(write(GOOD), changes=changes).cells
    assert (cell.search, cell.study.trials) == ({}, 0)
    assert (cell.method.options["rank"], cell.training.learning_rate) == (4, 1e-3)


def test_a_fixed_value_of_training_is_read_as_training_is(write):
    fixed, said = (
        plan(write(GOOD), changes=[f"methods=[{{lora: {{{of}: {{max_steps: '40', learning_rate: 1}}}}}}]"]).cells[0]
        for of in ("search", "training")
    )
    assert (fixed.training.max_steps, fixed.training.learning_rate) == (40, 1.0)
    assert canonical_json(fixed.training.model_dump()) == canonical_json(said.training.model_dump())
    assert "methods[0].lora.search.max_steps: input should be a valid integer" in message(
        write(GOOD), "methods=[{lora: {search: {max_steps: many}}}]"
    )


def test_a_default_of_null_is_a_choice_like_any_other(write):
    (cell,) = plan(write(GOOD), changes=["methods=[{lora: {search: {alpha: [null, 16]}}}]"]).cells
    assert own_values(cell).items() >= {"alpha": None}.items()
    (cell,) = plan(write(GOOD), changes=["methods=[{lora: {search: {alpha: [8, 16]}}}]"]).cells
    assert "alpha" not in own_values(cell) and "alpha" not in own_values(cell, outside=True)


def test_a_search_may_name_the_fields_of_a_class_of_peft(write):
    method = "methods=[{peft: {config_class: LoHaConfig, r: 8, search: {r: [4, 8, 16], alpha: {low: 4, high: 32}}}}]"
    (cell,) = plan(write(GOOD), changes=[method]).cells
    assert cell.search["r"] == Choice(choices=(4, 8, 16))
    assert cell.search["alpha"] == Int(low=4, high=32)
    assert own_values(cell).items() >= {"r": 8, "alpha": 8}.items(), "alpha is what peft makes it"
    spec = demo_spec(cell, r=16, alpha=4)
    assert methods.build("peft", spec.method_options, "test").peft_config({}).r == 16
    real = plan(write(GOOD), changes=[method.replace("alpha: {low: 4, high: 32}", "module_dropout: {low: 0, high: 1}")])
    assert real.cells[0].search["module_dropout"] == Float(low=0, high=1)


def test_a_search_over_a_field_that_the_class_of_peft_does_not_have_says_which_it_has(write):
    found = message(write(GOOD), "methods=[{peft: {config_class: LoHaConfig, search: {rr: [4, 8]}}}]")
    assert found.startswith("x.yaml: methods[0].peft.search: unknown parameter 'rr'; did you mean 'r'?")


@pytest.mark.parametrize(
    ("method", "trials", "finals"),
    [
        ("hard_prompt", 0, 1),
        ("hard_prompt: {shots: 2}", 0, 3),
        ("hard_prompt: {search: {shots: [0, 1, 2, 3, 4]}}", 5, 3),
        ("hard_prompt: {search: {calibrate: [true, false]}}", 2, 1),
    ],
)
def test_a_search_over_shots_has_the_finals_asked_for_and_a_trial_a_point(write, method, trials, finals):
    named = f"{{{method}}}" if ":" in method else method
    changes = [f"methods=[{named}]", "study.trials=5", "finals.seeds=3"]
    (cell,) = plan(write(GOOD), changes=changes).cells
    assert (cell.study.trials, cell.planned_finals) == (trials, finals)


def test_1e_3_is_a_number_as_everybody_writes_it(write):
    loaded = load_experiment(write(GOOD + "training: {learning_rate: 1e-3, weight_decay: 1E+2}\n"))
    assert loaded.training == {"learning_rate": 1e-3, "weight_decay": 100.0}


def test_a_mapping_can_be_taken_over_by_a_merge_key(write):
    text = GOOD + "training: &base {max_steps: 5}\noverrides:\n  - training: {<<: *base, batch_size: 2}\n"
    (override,) = load_experiment(write(text)).overrides
    assert override.training == {"max_steps": 5, "batch_size": 2}


def test_an_id_of_the_hub_needs_no_entry_of_its_own(write):
    changes = ["models=[HuggingFaceTB/SmolLM2-360M, {bigscience/bloomz-560m: {revision: v1}}]"]
    one, two = plan(write(GOOD), changes=changes).cells
    assert (one.model.name, one.model.label) == ("hub", "smollm2-360m")
    assert one.model.options["id"] == "HuggingFaceTB/SmolLM2-360M"
    assert (two.model.label, two.model.options["revision"]) == ("bloomz-560m", "v1")


def test_a_local_file_is_called_by_its_own_name(write):
    loaded = load_experiment(write(GOOD), ["datasets=[{local: {path: data/Tweets.csv}}]"])
    assert loaded.datasets[0].label == "tweets"


def test_cells_are_ordered_by_model_small_ones_first_and_one_without_a_model_comes_once(write):
    changes = ["models=[smollm2-135m, glasslm-0.9m]", "methods=[lora, majority]"]
    assert [cell.labels for cell in plan(write(GOOD), changes=changes).cells] == [
        ("none", "trec6", "majority"),
        ("glasslm-0.9m", "trec6", "lora"),
        ("smollm2-135m", "trec6", "lora"),
    ]


def test_settings_merge_deeply_the_nearer_wins_and_a_cell_can_have_its_own(write):
    text = """
name: demo
models: [glasslm-0.9m, smollm2-135m]
datasets: [trec6]
methods:
  - lora: {rank: 4, training: {batch_size: 8}, search: {learning_rate: {low: 1e-4}}}
training: {max_steps: 50, batch_size: 32, weight_decay: 0.1}
study: {trials: 5}
runtime: {retries: 3}
overrides:
  - models: [smollm2-135m]
    options: {dropout: 0.1}
    training: {max_steps: 10}
    search: {learning_rate: {high: 1e-3}}
    runtime: {precision: bfloat16}
    trials: 2
  - methods: [lora]
    training: {eval_steps: 7}
"""
    glass, smol = plan(write(text)).cells
    for cell, steps, dropout, high, trials in ((glass, 50, 0.0, 5e-3, 5), (smol, 10, 0.1, 1e-3, 2)):
        training = cell.training
        assert (training.max_steps, training.batch_size, training.weight_decay) == (steps, 8, 0.1)
        assert (training.eval_steps, training.learning_rate) == (7, 5e-4)
        assert (cell.method.options["rank"], cell.method.options["dropout"]) == (4, dropout)
        assert cell.search["learning_rate"] == Float(low=1e-4, high=high, log=True)
        assert cell.study.trials == trials
    assert [one.runtime.precision for one in (glass, smol)] == ["auto", "bfloat16"]
    assert [one.runtime.retries for one in (glass, smol)] == [3, 3]


def test_set_reaches_into_lists_and_makes_what_is_not_there(write):
    file = write(GOOD.replace("[lora]", "[{lora: {rank: 4}}, majority]"))
    loaded = load_experiment(file, ["methods.0.lora.rank=16", "study.trials=2", "methods.1=hard_prompt", "name=b"])
    assert loaded.methods[0].options == {"rank": 16}
    assert (loaded.study.trials, loaded.methods[1].name, loaded.name) == (2, "hard_prompt", "b")
    loaded = load_experiment(file, ["methods.1.majority.label=most", "models=[{glasslm-0.9m: }]"])
    assert loaded.methods[1].label == "most"
    loaded = load_experiment(file, ["models=[{glasslm-0.9m: }]", "models.0.glasslm-0.9m.label=small"])
    assert loaded.models[0].label == "small"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("study", "--set study: expected KEY=VALUE, such as study.trials=4"),
        ("=4", "--set =4: expected KEY=VALUE, such as study.trials=4"),
        ("methods.3=x", "--set methods.3=x: expected an index from 0 to 0, found '3'"),
        ("methods.first=x", "--set methods.first=x: expected an index from 0 to 0, found 'first'"),
        ("name.x=1", "--set name.x=1: there is nothing below this key to set"),
        ("name.x.y=1", "--set name.x.y=1: there is no key 'x' to go into"),
        ("study.trials=[1", "--set study.trials=[1: expected ',' or ']'"),
        ("study={trials: 1, trials: 2}", "the key 'trials' stands here a second time"),
    ],
)
def test_a_set_that_goes_nowhere_is_said_so(write, change, said):
    found = message(write(GOOD), change)
    assert found.startswith(f"--set {change}: ")
    assert said in found


def test_a_mapping_and_an_experiment_are_taken_like_a_file(write):
    from_file = plan(write(GOOD))
    assert plan(yaml.safe_load(GOOD)).cells == from_file.cells
    assert plan(from_file.experiment).cells == from_file.cells


def test_planning_leaves_the_mapping_that_was_given_alone():
    data = yaml.safe_load(GOOD)
    plan(data, changes=["study.trials=3", "methods.0=majority"])
    assert data == yaml.safe_load(GOOD)


WORDS = ("search", "low", "high", "choices", "kind", "label", "options", "id")
KEYS = st.sampled_from([*Experiment.model_fields, *Study.model_fields, *WORDS]) | st.text(max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 200)
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(["lora", "trec6", "glasslm-0.9m", "a/b", "accuracy", "majority"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers(0, 3), inner, max_size=3),
    max_leaves=8,
)


def only_bad_input(call) -> None:
    try:
        call()
    except BadInput as error:
        assert str(error)


@settings(max_examples=150)
@given(st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from(":-[]{}&*!|>'\"#%@,? \n\t"), max_size=60))
def test_any_text_is_an_experiment_or_bad_input(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(text.encode())
    only_bad_input(lambda: plan(file))
    only_bad_input(lambda: plan(yaml.safe_load(GOOD), changes=[text]))
    only_bad_input(lambda: plan(yaml.safe_load(GOOD), changes=[f"training.max_steps={text}"]))


@settings(max_examples=150)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_mapping_is_an_experiment_or_bad_input(data):
    only_bad_input(lambda: plan({**yaml.safe_load(GOOD), **data}))


@pytest.mark.parametrize("key", ["options", "search"])
def test_an_override_of_a_key_that_only_some_methods_have_has_to_say_which_are_meant(write, key):
    found = message(write(GOOD), "methods=[lora, majority]", f"overrides=[{{{key}: {{rank: 4}}}}]")
    assert found == f"x.yaml: overrides[0].{key}.rank: not of 'majority'; say by 'methods:' which ones are meant"


@settings(max_examples=150)
@given(st.sampled_from(["models", "datasets", "methods"]), st.sampled_from(["lora", "trec6", "local", "hub"]), VALUES)
def test_any_options_are_an_entry_or_bad_input(kind, name, options):
    only_bad_input(lambda: plan({**yaml.safe_load(GOOD), kind: [{name: options}]}))


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(["learning_rate", "rank", "target_modules", "x"]), VALUES, max_size=3))
def test_any_search_is_a_search_space_or_bad_input(search):
    only_bad_input(lambda: plan({**yaml.safe_load(GOOD), "methods": [{"lora": {"search": search}}]}))


@pytest.mark.parametrize(
    ("methods", "override"),
    [
        ("[lora, majority]", "{models: [glasslm-0.9m], options: {rank: 4}}"),
        ("[{peft: {config_class: LoHaConfig, r: 8}}]", "{methods: [peft], options: {r: 4}}"),
        ("[lora]", "{options: {r: 4}}"),
    ],
)
def test_options_of_an_override_may_be_those_of_one_method_of_peft_or_by_pefts_name(write, methods, override):
    cells = plan(write(GOOD), changes=[f"methods={methods}", f"overrides=[{override}]"]).cells
    assert 4 in [cell.method.options.get("rank", cell.method.options.get("r")) for cell in cells]
