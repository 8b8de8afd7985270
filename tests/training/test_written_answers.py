"""Free text and options through encoding, loss, scoring and a whole trial, held against transformers and PEFT."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset
from numerics import assert_close, assert_gradients_close, log_likelihoods
from one_trial import run_final, tiny_cell, write_models
from peft import PromptTuningConfig, get_peft_model
from torch.nn.functional import cross_entropy
from trl import SFTConfig, SFTTrainer

from bench.core.errors import Infeasible
from bench.datasets.answers import FreeText, Option
from bench.datasets.examples import Example
from bench.experiment.feasibility import infeasible
from bench.forward.settings import Generate
from bench.methods.base import TunedModel
from bench.methods.prompt_tuning import PromptTuning
from bench.metrics.likelihood import BitsPerByte
from bench.models import models
from bench.testing.tiny import tiny_model, tiny_network, tiny_splits, tiny_tokenizer
from bench.training.encoding import Encoder
from bench.training.evaluation import Scorer
from bench.training.session import Session

TEMPLATE = "{text}\nanswer:"
TEXTS = [
    Example(str(i), f"{text}\nanswer:", 0, (answer, "another"))
    for i, (text, answer) in enumerate([("a", "dog"), ("the lazy dog", "the fox and the dog"), ("bad good", "0123")])
]
CHOICES = [
    Example("0", "a\nanswer:", 1, ("dog", "the lazy dog", "no")),
    Example("1", "the good fox\nanswer:", 0, ("fox", "dog")),
    Example("2", "0123\nanswer:", 3, ("a", "b", "0123", "not at all")),
]


def tokens_of(base, example, answer, end):
    """The ids of a text and of its answer, as one that knows nothing of us would write them."""
    ids = base.tokenizer(example.text, add_special_tokens=False)["input_ids"]
    whole = base.tokenizer(f"{example.text} {answer}", add_special_tokens=False)["input_ids"]
    assert whole[: len(ids)] == ids
    return ids, [*whole[len(ids) :], *([base.tokenizer.eos_token_id] if end else [])]


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5"])
def test_the_likelihood_of_a_text_is_that_of_its_first_reference_and_its_end(family):
    base = tiny_model(family)
    encoder = Encoder(base, TEMPLATE, (), FreeText())
    done = Scorer(TunedModel(base), encoder, None, 2).run(TEXTS)
    if family == "t5":
        pairs = [(base.tokenizer(e.text)["input_ids"], base.tokenizer(e.answers[0])["input_ids"]) for e in TEXTS]
    else:
        pairs = [tokens_of(base, example, example.answers[0], True) for example in TEXTS]
    expected = [-sum(log_likelihoods(base, *pair)) for pair in pairs]
    tokens = sum(len(target) for _, target in pairs)
    assert_close(done.nats, np.array(expected))
    assert done.answer_tokens == tokens
    assert done.loss == pytest.approx(sum(expected) / tokens, rel=1e-5)


def test_an_option_is_chosen_by_the_mean_likelihood_of_its_own_tokens():
    base = tiny_model()
    encoder = Encoder(base, TEMPLATE, (), Option())
    done = Scorer(TunedModel(base), encoder, None, 3).run(CHOICES)
    for row, example in zip(done.scores, CHOICES, strict=True):
        pairs = [tokens_of(base, example, option, False) for option in example.answers]
        expected = [np.mean(log_likelihoods(base, *pair)) for pair in pairs]
        assert_close(row[: len(expected)], np.array(expected))
        assert np.isneginf(row[len(expected) :]).all()


def prompted(base, family="llama"):
    """A model with a soft prompt, and PEFT's with the same prompt."""
    tuned = PromptTuning(num_virtual_tokens=4).attach(base, tiny_splits(), 0)
    peer = get_peft_model(tiny_network(family), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    peer.prompt_encoder.default.embedding.weight.data.copy_(tuned.prompt.detach())
    return tuned, peer


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_gradients_are_those_of_peft_on_the_same_masked_labels(family):
    base = tiny_model(family)
    encoder = Encoder(base, TEMPLATE, (), FreeText())
    pairs, _ = encoder.pairs(TEXTS, None)
    assert pairs == [tokens_of(base, example, example.answers[0], True) for example in TEXTS]
    tuned, peer = prompted(base, family)
    batch = encoder.batch(pairs)
    cross_entropy(tuned.logits(batch), batch.targets).backward()
    rows = [[*ids, *target] for ids, target in pairs]
    longest = max(map(len, rows))
    labels = [[*[-100] * len(ids), *target, *[-100] * (longest - len(ids) - len(target))] for ids, target in pairs]
    peer(
        input_ids=torch.tensor([[*row, *[2] * (longest - len(row))] for row in rows]),
        attention_mask=torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
        labels=torch.tensor(labels),
    ).loss.backward()
    (ours,) = tuned.trainable().values()
    assert_gradients_close({"prompt": ours.grad}, {"prompt": peer.prompt_encoder.default.embedding.weight.grad})
    tuned.detach()


def test_loss_and_gradient_are_those_of_trls_trainer_with_the_loss_on_the_completion_alone(tmp_path):
    base = tiny_model()
    encoder = Encoder(base, TEMPLATE, (), FreeText())
    tuned, peer = prompted(base)
    settings = SFTConfig(
        output_dir=str(tmp_path),
        completion_only_loss=True,
        per_device_train_batch_size=len(TEXTS),
        max_length=None,
        max_steps=1,
        use_cpu=True,
        bf16=False,
        report_to=[],
    )
    rows = [{"prompt": one.text, "completion": f" {one.answers[0]}"} for one in TEXTS]
    trainer = SFTTrainer(peer, settings, train_dataset=Dataset.from_list(rows), processing_class=tiny_tokenizer())
    (their_batch,) = trainer.get_train_dataloader()
    theirs = trainer.compute_loss(peer.eval(), dict(their_batch))
    theirs.backward()

    batch = encoder.batch(encoder.pairs(TEXTS, None)[0])
    ours = cross_entropy(tuned.logits(batch), batch.targets)
    ours.backward()
    (prompt,) = tuned.trainable().values()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert_gradients_close({"prompt": prompt.grad}, {"prompt": peer.prompt_encoder.default.embedding.weight.grad})
    tuned.detach()


def test_with_loss_on_all_every_token_but_the_first_is_trained_on():
    base = tiny_model()
    encoder = Encoder(base, TEMPLATE, (), FreeText(loss_on="all"))
    for (read, target), example in zip(encoder.pairs(TEXTS, None)[0], TEXTS, strict=True):
        ids, answer = tokens_of(base, example, example.answers[0], True)
        assert (read, target) == (ids[:1], [*ids[1:], *answer])
    with pytest.raises(Infeasible, match="loss_on: all is for decoders"):
        Encoder(tiny_model("t5"), TEMPLATE, (), FreeText(loss_on="all")).pairs(TEXTS, None)


def test_a_text_that_is_too_long_loses_its_beginning_and_never_the_answers_end():
    base = tiny_model()
    encoder = Encoder(base, TEMPLATE, (), FreeText())
    whole = [tokens_of(base, example, example.answers[0], True) for example in TEXTS]
    room = max(len(target) for _, target in whole) + 3
    pairs, cut = encoder.pairs(TEXTS, room)
    assert [target for _, target in pairs] == [target for _, target in whole]
    assert [ids for ids, _ in pairs] == [ids[-(room - len(target)) :] for ids, target in whole]
    assert cut == sum(len(ids) + len(target) > room for ids, target in whole)
    assert encoder.cut_answers(TEXTS, room) == 0


def test_an_answer_that_does_not_fit_loses_its_end_and_is_counted():
    base = tiny_model()
    longest = max(len(tokens_of(base, one, one.answers[0], True)[1]) for one in TEXTS)
    encoder = Encoder(base, TEMPLATE, (), FreeText(max_tokens=longest - 1))
    pairs, _ = encoder.pairs(TEXTS, None)
    assert max(len(target) for _, target in pairs) == longest - 1
    assert encoder.cut_answers(TEXTS, None) == 1
    assert Encoder(base, TEMPLATE, (), FreeText()).cut_answers(TEXTS, 4) == sum(
        len(tokens_of(base, one, one.answers[0], True)[1]) > 3 for one in TEXTS
    )


def test_bits_per_byte_are_of_what_was_scored_and_no_more():
    base = tiny_model()
    whole = Scorer(TunedModel(base), Encoder(base, TEMPLATE, (), FreeText()), None, 2).run(TEXTS)
    assert whole.answer_bytes == sum(len(one.answers[0]) for one in TEXTS)
    metric, splits = BitsPerByte(), replace(tiny_splits(), labels=(), answer=FreeText())
    value, _ = metric.of(whole.answered(TEXTS, splits))
    assert value == pytest.approx(whole.nats.sum() / np.log(2) / whole.answer_bytes)

    encoder = Encoder(base, TEMPLATE, (), FreeText(max_tokens=2))
    cut = Scorer(TunedModel(base), encoder, None, 2).run(TEXTS)
    kept = [encoder.candidates(one, None)[0] for one in TEXTS]
    assert max(map(len, kept)) == 2
    assert cut.answer_bytes == sum(len(base.tokenizer.decode(ids)) for ids in kept) < whole.answer_bytes


def test_a_longest_answer_that_leaves_no_room_is_refused():
    encoder = Encoder(tiny_model(), TEMPLATE, (), FreeText(generate=Generate(max_new_tokens=9)))
    assert encoder.inputs_to_write(TEXTS, 12)[1] > 0
    with pytest.raises(Infeasible, match=r"generate\.max_new_tokens: an answer of 9 tokens leaves no room"):
        encoder.inputs_to_write(TEXTS, 9)


@pytest.mark.parametrize("answer", [FreeText(), Option()])
def test_a_head_over_labels_answers_no_other_kind(answer):
    with pytest.raises(Infeasible, match="an encoder answers by a head over label words"):
        Encoder(tiny_model("bert"), TEMPLATE, (), answer)


def test_the_chat_template_of_the_tokenizer_stands_around_the_text():
    base = tiny_model()
    with pytest.raises(Infeasible, match="this model's tokenizer has no chat template"):
        Encoder(base, TEMPLATE, (), FreeText(chat=True))
    base.tokenizer.chat_template = "{% for m in messages %}good {{ m.content }}\n{% endfor %}bad\n"
    encoder = Encoder(base, "{request}", (), FreeText(chat=True))
    inputs, _ = encoder.inputs([Example("x", "a dog", 0, ("fox",))], None)
    turn = [{"role": "user", "content": "a dog"}]
    assert inputs == [base.tokenizer.apply_chat_template(turn, add_generation_prompt=True)["input_ids"]]
    assert (
        encoder.candidates(Example("x", "a dog", 0, ("fox",)), None)[0][:-1]
        == base.tokenizer("fox", add_special_tokens=False)["input_ids"]
    )


# A whole trial


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_models(tmp_path_factory.mktemp("written"), "llama")
    rows = [
        {"instruction": f"say {'ab'[i % 2]}{i}", "input": "", "output": ["a dog", "a fox"][i % 2], "n": str(i % 2)}
        for i in range(60)
    ]
    (folder / "data.json").write_text(json.dumps(rows))
    return folder


def cell_of(folder, method, **options):
    data = {"path": str(folder / "data.json"), "train_size": 30, "test_size": 10, **options}
    training = {"eval_steps": 2, "learning_rate": 0.02}
    return tiny_cell(folder / "llama", data, method, training=training, evaluation={"keep_texts": True})


def final(cell, tmp_path):
    return run_final(cell, tmp_path / "adapter")


WRITTEN = {"format": "instruction", "metrics": ["rouge_l", "chrf"], "generate": {"max_new_tokens": 5}}


def test_a_final_in_free_text_holds_a_score_a_hash_and_a_text_of_each_item(folder, tmp_path):
    cell = cell_of(folder, {"prompt_tuning": {"num_virtual_tokens": 4}}, **WRITTEN)
    assert (cell.objective, cell.greater_is_better) == ("nll", False)
    record = final(cell, tmp_path)
    assert (record.status, record.reason) == ("ok", None)
    # Nothing is written while training: only the likelihood is looked at.
    assert [set(one.metrics) for one in record.validation_curve] == [{"nll"}, {"nll"}]
    assert record.objective == min(one.metrics["nll"] for one in record.validation_curve)
    assert set(record.test.metrics) == {"nll", "rouge_l", "chrf"}
    answers = record.answers
    assert record.predictions is None
    assert set(answers.scores) == {"nll", "rouge_l"}
    for name, scores in answers.scores.items():
        assert len(scores) == 10
        assert record.test.metrics[name] == pytest.approx(np.mean(scores), abs=1e-5)
    assert [hashlib.sha256(one.answer.encode()).hexdigest()[:16] for one in answers.texts] == answers.hashes
    assert sum(answers.shares[name] for name in ("end", "stop", "limit")) == pytest.approx(1)
    assert all(one.question.startswith("Human: say") and one.references for one in answers.texts)
    assert "chrf" in answers.signatures


def test_a_study_may_optimise_what_is_written(folder, tmp_path):
    options = {**WRITTEN, "metrics": ["f1_squad", "nll"]}
    record = final(cell_of(folder, {"prompt_tuning": {"num_virtual_tokens": 4}}, **options), tmp_path)
    assert [set(one.metrics) for one in record.validation_curve] == [{"f1_squad", "nll"}] * 2
    assert record.objective == max(one.metrics["f1_squad"] for one in record.validation_curve)


@pytest.mark.parametrize("ruined", [float("inf"), float("nan")])
def test_a_model_whose_last_step_ruined_it_has_diverged_and_is_no_error(folder, tmp_path, ruined, monkeypatch):
    run = Scorer.run
    monkeypatch.setattr(
        Scorer, "run", lambda self, examples: replace(run(self, examples), nats=np.full(len(examples), ruined))
    )
    record = final(cell_of(folder, {"prompt_tuning": {"num_virtual_tokens": 4}}, **WRITTEN), tmp_path)
    assert (record.status, record.reason) == ("diverged", "validation loss is not finite after step 2 of 4")


def test_texts_are_kept_only_where_they_are_asked_for(folder, tmp_path):
    cell = cell_of(folder, "hard_prompt", **WRITTEN)
    cell = cell.model_copy(update={"evaluation": cell.evaluation.model_copy(update={"keep_texts": False})})
    answers = final(cell, tmp_path).answers
    assert answers.texts == []
    assert len(answers.hashes) == 10


def test_solved_examples_show_the_right_texts(folder, tmp_path):
    record = final(cell_of(folder, {"hard_prompt": {"shots": 2}}, **WRITTEN), tmp_path)
    assert record.status == "ok"
    assert set(record.test.metrics) == {"nll", "rouge_l", "chrf"}


@pytest.mark.parametrize("method", ["nearest_answer", "first_sentence"])
def test_a_baseline_that_writes_has_no_likelihood(folder, tmp_path, method):
    record = final(cell_of(folder, method, **WRITTEN), tmp_path)
    assert (record.status, record.objective) == ("ok", None)
    assert set(record.test.metrics) == {"rouge_l", "chrf"}


def test_options_of_a_row_are_chosen_in_a_whole_trial(folder, tmp_path):
    rows = json.loads((folder / "data.json").read_text())
    for row in rows:
        row |= {"text": row["instruction"], "choices": ["a dog", "a fox", f"a {row['n']}"]}
    (tmp_path / "data.json").write_text(json.dumps(rows))
    options = {"path": str(tmp_path / "data.json"), "options_column": "choices", "label_column": "n"}
    record = final(cell_of(folder, "lora", **options), tmp_path)
    assert (record.status, record.reason) == ("ok", None)
    assert set(record.test.metrics) == {"accuracy", "nll"}
    assert record.predictions.labels == ["1", "2", "3"]
    right = np.equal(record.predictions.predictions, record.predictions.references)
    assert record.test.metrics["accuracy"] == right.mean()


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("majority", "majority counts label words, and the answers are free text"),
        ({"prompt_tuning": {"init": "labels"}}, "init: labels takes label words, and the answers are free text"),
        ({"hard_prompt": {"calibrate": True}}, "calibrate divides the probabilities of label words"),
    ],
)
def test_a_method_that_cannot_answer_is_known_before_anything_runs(folder, method, said):
    cell = cell_of(folder, method, **WRITTEN)
    splits = Session().splits(cell.dataset)
    assert said in infeasible(cell, splits)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"generate": {"max_new_tokens": 512}}, "an answer of 512 tokens leaves no room for text in"),
        (
            {"generate": {"stop": ["dog", "\u732b"]}},
            "generate.stop: '\u732b' cannot come out of this model's tokenizer",
        ),
        ({"format": "chat"}, "this model's tokenizer has no chat template"),
    ],
)
def test_what_cannot_be_written_is_known_before_anything_runs(folder, options, said):
    cell = cell_of(folder, "hard_prompt", **{**WRITTEN, **options})
    models.build(
        cell.model.name, cell.model.options, "model"
    ).check()  # what has not been seen to load is not looked at
    assert said in infeasible(cell, Session().splits(cell.dataset))
    fine = cell_of(folder, "hard_prompt", **{**WRITTEN, "generate": {"max_new_tokens": 8, "stop": ["dog", "</s>"]}})
    assert infeasible(fine, Session().splits(fine.dataset)) is None
