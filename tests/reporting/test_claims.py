"""``bench claims``: sentences held against simulated records whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from report_records import cell, majority, run, scored_there, study, target, write_results
from typer.testing import CliRunner

from bench.api import plan
from bench.cli import app
from bench.core.distributions import Float
from bench.core.entries import Entry
from bench.core.errors import BadInput
from bench.experiment.settings import Finals, Study
from bench.reporting.claims.file import Claim, Claims, read_claims
from bench.reporting.claims.verdicts import findings, judge, read_experiments
from bench.reporting.claims.writing import as_json, as_markdown
from bench.reporting.statistics.intervals import Interval
from bench.runs.record import Predictions

ROOT = Path(__file__).parents[2]
SIZES = {"small": 1_000_000, "middle": 10_000_000, "large": 100_000_000}
ITEMS = 400


def claim(**values):
    defaults = {
        "id": "x", "says": "Prompts are better.", "where": "A paper, section 1", "experiment": "demo",
        "dataset": "trec6", "models": list(SIZES), "test": "difference", "first": "prompt", "second": "full",
    }  # fmt: skip
    return Claim.model_validate({**defaults, "above": 0, **values})


def answers(share, seed, method, model):
    """Answers of which so many are right in truth; which items are hard is the same for all."""
    hard = np.random.default_rng(0).normal(0, 0.1, ITEMS)
    right = np.random.default_rng([seed, *map(ord, method + model)]).random(ITEMS) < np.clip(share + hard, 0, 1)
    references = [item % 2 for item in range(ITEMS)]
    said = [one if good else 1 - one for one, good in zip(references, right, strict=True)]
    names = [f"item-{item}" for item in range(ITEMS)]
    return Predictions(ids=names, references=references, predictions=said, labels=["a", "b"])


def records(truths, seeds=5, models=SIZES, planned=5):
    """A study for each method, with a share of right answers a model."""
    found = []
    for method, shares in truths.items():
        for (model, size), share in zip(models.items(), shares, strict=True):
            of = cell(model, method=method, finals=Finals(seeds=planned))
            for seed in range(seeds):
                kept = answers(share, seed, method, model)
                score = float(np.equal(kept.predictions, kept.references).mean())
                found.append(run(of, seed, "final", score, base=size, predictions=kept))
            found.append(run(of, 0, score=share, base=size))
    return found


def held(tmp_path, asked, found):
    write_results(tmp_path / "r", found)
    return findings([asked], read_experiments([tmp_path / "r"]))[0]


GAP_CLOSES = {"prompt": (0.4, 0.5, 0.6), "full": (0.7, 0.7, 0.7)}


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        ({"above": 0}, "contradicted"),
        ({"above": None, "below": 0}, "supported"),
        ({"first": "full", "second": "prompt"}, "supported"),
        ({"test": "slope"}, "supported"),
        ({"test": "slope", "above": None, "below": 0}, "contradicted"),
        ({"first": "full", "second": "same"}, "cannot be told here"),
        ({"first": "full", "second": "same", "above": -0.05, "below": 0.05}, "supported"),
        ({"first": "full", "second": "prompt", "above": -0.05, "below": 0.05}, "contradicted"),
        ({"first": "full", "second": None, "above": 0.6}, "supported"),
        ({"models": ["small"], "above": None, "below": -0.2}, "supported"),
        ({"over": "any", "above": None, "below": -0.2}, "supported"),
        ({"over": "any", "above": 0}, "cannot be told here"),
        ({"over": "any", "first": "full", "second": "same"}, "cannot be told here"),
    ],
)
def test_a_known_truth_gives_its_verdict(tmp_path, asked, verdict):
    found = held(tmp_path, claim(**asked), records({**GAP_CLOSES, "same": (0.7, 0.7, 0.7)}))
    assert found.verdict == verdict
    if found.interval:
        assert found.interval.low <= found.value <= found.interval.high
        assert judge(found.interval, found.claim) == verdict


def test_the_slope_is_the_change_of_the_gap_with_ten_times_the_parameters(tmp_path):
    found = held(tmp_path, claim(test="slope"), records(GAP_CLOSES))
    assert 0.1 in found.interval
    assert [model for model, _ in found.by_model] == list(SIZES)


def test_a_sentence_without_truth_is_seldom_supported(tmp_path):
    """Twenty pairs of equal methods: at 95 % one in forty is wrongly supported, one in forty contradicted."""
    truths = {f"{side}-{number}": (0.6,) for number in range(20) for side in ("prompt", "full")}
    write_results(tmp_path / "r", records(truths, seeds=3, models={"small": 1_000_000}))
    asked = [claim(id=str(n), models=["small"], first=f"prompt-{n}", second=f"full-{n}") for n in range(20)]
    told = [one.verdict for one in findings(asked, read_experiments([tmp_path / "r"]))]
    assert told.count("cannot be told here") >= 17


@pytest.mark.parametrize(
    ("asked", "found", "reason"),
    [
        ({"experiment": "other"}, {}, "no records of the experiment other"),
        ({"first": "lora"}, {}, "small / trec6 / lora: no records"),
        ({"models": ["huge"]}, {}, "huge / trec6 / prompt: no records"),
        ({"dataset": "boolq"}, {}, "small / boolq / prompt: no records"),
        ({"metric": "f1_macro"}, {}, "small / trec6 / prompt: no finals with f1_macro"),
        ({}, {"seeds": 2}, "small / trec6 / prompt: 2 of 5 finals"),
    ],
)
def test_what_is_missing_cannot_be_told_and_is_named(tmp_path, asked, found, reason):
    told = held(tmp_path, claim(**asked), records(GAP_CLOSES, **found))
    assert (told.verdict, told.value, told.interval) == ("cannot be told here", None, None)
    assert reason in told.reasons


@pytest.mark.parametrize("asked", [{}, {"test": "slope", "least": 2}])
def test_finals_that_failed_are_no_support_for_the_others(tmp_path, asked):
    failed = cell("small", method="prompt", finals=Finals(seeds=7))
    found = [*records(GAP_CLOSES, planned=7), *(run(failed, seed, "final", status="diverged") for seed in (5, 6))]
    told = held(tmp_path, claim(**asked), found)
    assert any("small / trec6 / prompt: finals failed" in reason for reason in told.reasons)


def test_a_verdict_that_can_do_without_a_model_says_which(tmp_path):
    asked = claim(models=[*SIZES, "huge"], least=3, test="slope")
    told = held(tmp_path, asked, records(GAP_CLOSES, seeds=4))
    assert told.verdict == "supported"
    assert "without huge / trec6 / prompt: no records" in told.reasons
    assert "small / trec6 / prompt: 4 of 5 finals so far" in told.reasons


def test_a_model_that_learns_nothing_is_no_sign_that_a_gap_has_closed(tmp_path):
    truths = {"prompt": (0.5, 0.5, 0.65), "full": (0.5, 0.8, 0.8)}
    told = held(tmp_path, claim(test="slope", least=2), records(truths) + majority(ITEMS // 2, ITEMS))
    assert told.verdict == "supported"
    assert any("small: no method is beyond the majority class there" in reason for reason in told.reasons)


def test_records_of_two_experiments_are_never_mixed(tmp_path):
    write_results(tmp_path / "a", records(GAP_CLOSES), experiment={"name": "a"})
    write_results(
        tmp_path / "b", records({"prompt": (0.9, 0.9, 0.9), "full": (0.7, 0.7, 0.7)}), experiment={"name": "b"}
    )
    experiments = read_experiments([tmp_path / "a", tmp_path / "b"])
    told = findings([claim(experiment="a"), claim(experiment="b")], experiments)
    assert [one.verdict for one in told] == ["contradicted", "supported"]


def rates(truths, trials=24, ranges=None, items=500):
    """A study of random learning rates a method, whose best rate is 10**truth."""
    found = []
    for place, (method, peak) in enumerate(truths.items()):
        low, high = (ranges or {}).get(method, (1e-5, 1.0))
        options = {"validation_size": items} if items else {}
        of = cell(
            "small", method=method, study=Study(trials=trials, sampler="random"),
            search={"learning_rate": Float(low=low, high=high, log=True)},
        ).model_copy(update={"dataset": Entry(name="trec6", label="trec6", options=options)})  # fmt: skip
        generator = np.random.default_rng(place)
        for number in range(trials + 1):
            rate = float(10 ** generator.uniform(-5, 0))
            share = 0.2 + 0.6 * np.exp(-((np.log10(rate) - peak) ** 2) * 3)
            found.append(
                run(of, number, score=float(generator.binomial(500, share)) / 500, params={"learning_rate": rate})
            )
    return found


RATIO = {"test": "rate_ratio", "first": "lora", "models": ["small"]}


@pytest.mark.parametrize(
    ("lora", "asked", "verdict"),
    [
        (-2, {"above": 1}, "supported"),
        (-4, {"above": 1}, "contradicted"),
        (-3, {"above": 1}, "cannot be told here"),
        (-2, {"above": 1.5, "below": 70}, "supported"),
    ],
)
def test_a_known_ratio_of_best_rates_gives_its_verdict(tmp_path, lora, asked, verdict):
    told = held(tmp_path, claim(**RATIO, **asked), rates({"lora": lora, "full": -3}))
    assert told.verdict == verdict
    assert 10 ** (lora + 3) in told.interval


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"ranges": {"lora": (1e-4, 1.0)}}, "searched different ranges"),
        ({"trials": 5}, "5 random trials, 8 are the least"),
        ({"items": None}, "the size of its validation split is not recorded"),
    ],
)
def test_a_ratio_that_the_search_decides_cannot_be_told(tmp_path, made, reason):
    told = held(tmp_path, claim(**RATIO), rates({"lora": -2, "full": -3}, **made))
    assert told.verdict == "cannot be told here"
    assert any(reason in one for one in told.reasons)


def test_a_shift_of_domain_is_told_from_the_tests_on_the_other_data_set(tmp_path):
    found = []
    for method, scores in (("prompt", (0.8, 0.81, 0.79)), ("full", (0.5, 0.52, 0.48))):
        of = cell("small", method=method, transfer=(target("mrpc"),))
        finals = study(of, scores, items=100)
        for number, score in enumerate(scores):
            there = scored_there(score).model_copy(update={"items": 400})
            finals[number + 1] = finals[number + 1].model_copy(update={"transfer": {"mrpc": there}})
        found += finals
    asked = claim(models=["small"], transfer="mrpc")
    assert held(tmp_path, asked, found).verdict == "supported"
    assert held(tmp_path, claim(models=["small"], transfer="qqp"), found).verdict == "cannot be told here"
    failed = run(cell("small", method="prompt", transfer=(target("mrpc"),)), 3, "final", status="diverged")
    assert held(tmp_path, asked, [*found, failed]).verdict == "cannot be told here"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"above": None}, "above or below has to say"),
        ({"above": 1, "below": 0}, "above (1) has to be less than below (0)"),
        ({"test": "slop"}, "claims[0].test: input should be 'difference', 'slope' or 'rate_ratio', found 'slop'"),
        ({"frist": "x"}, "claims[0].frist: unknown key; did you mean 'first'?"),
        ({"least": 9}, "least is 9, and there are 3 models"),
        ({"models": []}, "least is 0, and there are 0 models"),
        ({"test": "slope", "models": ["small"]}, "slope is over two models at least"),
        ({"test": "rate_ratio", "second": None}, "rate_ratio needs first and second"),
    ],
)
def test_a_bad_claim_is_one_line_with_file_and_key(tmp_path, changes, said):
    values = {**claim().model_dump(mode="json"), **changes}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"claims": [values]}))
    done = CliRunner().invoke(app, ["claims", "--claims", str(tmp_path / "c.yaml")])
    assert isinstance(done.exception, BadInput)
    assert str(done.exception).startswith(f"{tmp_path / 'c.yaml'}: ")
    assert said in str(done.exception) and "\n" not in str(done.exception)


@pytest.mark.parametrize("text", ["", "[1, 2]", "claims: {", "claims: 3", "claims: []"])
def test_a_file_that_holds_no_claims_is_refused(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(BadInput, match=r"c\.yaml"):
        read_claims(tmp_path / "c.yaml")
    with pytest.raises(BadInput, match="no such file"):
        read_claims(tmp_path / "none.yaml")


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(sorted(Claim.model_fields)), st.none() | st.integers() | st.text(max_size=5)))
def test_whatever_stands_in_a_claim_it_is_read_or_refused(values):
    try:
        Claims.parse({"claims": [values]}, "x.yaml")
    except BadInput as error:
        assert str(error).startswith("x.yaml: ")


@given(
    st.floats(-2, 2), st.floats(0, 2), st.none() | st.floats(-1, 0), st.none() | st.floats(0.01, 1)
)  # fmt: skip
def test_the_contrary_of_a_supported_sentence_is_contradicted(low, width, above, below):
    if above is None and below is None:
        return
    interval = Interval(low, low + width)
    verdict = judge(interval, claim(above=above, below=below))
    if verdict == "supported" and below is not None:
        assert judge(interval, claim(above=below, below=None)) == "contradicted"
    if verdict == "contradicted" and above is not None and below is None:
        assert judge(interval, claim(above=None, below=above + 1e-9)) == "supported"


def test_the_command_prints_a_table_json_or_markdown(tmp_path):
    write_results(tmp_path / "r", records(GAP_CLOSES))
    asked = {"claims": [claim(above=None, below=0).model_dump(mode="json")]}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(asked))

    def said(*options):
        done = CliRunner().invoke(app, ["claims", str(tmp_path / "r"), "--claims", str(tmp_path / "c.yaml"), *options])
        assert done.exit_code == 0, done.output
        return done.output

    assert "supported: Prompts are better." in said()
    assert "1 supported; 0 contradicted; 0 cannot be told here" in said()
    (one,) = json.loads(said("--json"))
    assert one["verdict"] == "supported" and one["interval"][1] < 0 and set(one["by_model"]) == set(SIZES)
    assert "| [Prompts are better.](#x) | supported | -0.1" in said("--markdown")
    both = CliRunner().invoke(app, ["claims", "--claims", str(tmp_path / "c.yaml"), "--json", "--markdown"])
    assert isinstance(both.exception, BadInput)


def test_the_same_records_give_the_same_verdicts(tmp_path):
    write_results(tmp_path / "r", rates({"lora": -2, "full": -3}))
    asked = [claim(**RATIO)]
    one, other = (findings(asked, read_experiments([tmp_path / "r"])) for _ in range(2))
    assert as_json(one) == as_json(other) and as_markdown(one) == as_markdown(other)


def test_the_claims_of_the_documentation_name_cells_that_our_experiments_plan():
    claims = read_claims(ROOT / "docs" / "claims.yaml")
    assert len(claims) >= 10
    files = {path.stem: path for path in (ROOT / "experiments").glob("*.yaml")}
    planned = {
        name: {cell.labels for cell in plan(files[name]).cells}
        for name in {one.experiment for one in claims} & files.keys()
    }
    for one in claims:
        if one.experiment in planned:
            wanted = {
                (model, one.dataset, method) for model in one.models for method in (one.first, one.second) if method
            }
            missing = {labels for labels in wanted if ("none", *labels[1:]) not in planned[one.experiment]}
            assert missing <= planned[one.experiment], one.id
