"""Loss on plain text before and after adaptation, held against transformers and PEFT, window by window."""

from __future__ import annotations

import json
import math
import random

import pytest
import torch
from peft import PeftModel, PromptTuningConfig, get_peft_model
from test_run_trial import Guarded, Listener, folder, spec_of  # noqa: F401
from transformers import AutoModelForCausalLM

from bench.core.errors import BadInput
from bench.datasets.general_text import GeneralText, read_general_text
from bench.experiment.settings import Evaluation, RetentionText
from bench.methods.base import TunedModel
from bench.methods.hard_prompt import HardPrompt
from bench.methods.tokens import Specials
from bench.methods.tuned.prompt_tuning import SoftPrompt
from bench.testing.tiny import tiny_encoder, tiny_model, tiny_network
from bench.training.evaluation import Scorer
from bench.training.retention import bits_per_byte, retention_before, window_of, windows
from bench.training.session import Session
from bench.training.trial import run_trial

TEXT = " ".join("".join(random.Random(0).choices("abcdefghij", k=1 + n % 9)) for n in range(300)) + " Éa"
CASES = [("llama", False), ("llama", True), ("gpt2", False), ("bloom", False), ("gemma3", True)]


def their_bits(network, base, encoder, text=TEXT):
    """The same by the loss that the network itself returns: one window at a time, without ours in between."""
    ids = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    length, before, nats, scored = window_of(base), list(encoder.specials.before), 0.0, 0
    for start in range(0, len(ids) - 1, length):
        window = [*before, *ids[start : start + length + 1]]
        labels = torch.tensor([[-100] * (len(before) + 1) + window[len(before) + 1 :]])
        asked = int((labels != -100).sum())
        with torch.no_grad():
            nats += asked * network(input_ids=torch.tensor([window]), labels=labels).loss.item()
        scored += asked
    assert scored == len(ids) - 1
    return nats / math.log(2) / len(text.encode())


def our_bits(tuned, encoder, text=TEXT):
    pairs = windows(encoder, text, window_of(tuned.base))
    assert len(pairs) > 3
    return bits_per_byte(Scorer(tuned, encoder, None, 4), pairs, GeneralText("text", text))


@pytest.mark.parametrize(("family", "bos"), CASES)
def test_a_base_model_has_the_bits_per_byte_of_transformers_own_loss(family, bos):
    base = tiny_model(family, bos=bos)
    encoder = tiny_encoder(base)
    expected = their_bits(tiny_network(family).eval(), base, encoder)
    assert our_bits(TunedModel(base), encoder) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("family", "bos"), CASES)
def test_a_soft_prompt_is_in_place_as_pefts_is(family, bos):
    base = tiny_model(family, bos=bos)
    encoder = tiny_encoder(base)
    prompt = torch.randn(9, 32, generator=torch.Generator().manual_seed(3)) * 0.5
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=9)
    theirs = get_peft_model(tiny_network(family), config).eval()
    theirs.prompt_encoder["default"].embedding.weight.data.copy_(prompt)
    expected = their_bits(theirs, base, encoder)
    assert our_bits(SoftPrompt(base, prompt), encoder) == pytest.approx(expected, rel=1e-5)
    assert abs(expected - our_bits(TunedModel(base), encoder)) > 0.01


@pytest.mark.parametrize("bos", [False, True])
def test_solved_examples_are_in_place_too(bos):
    from bench.testing.tiny import tiny_splits

    base = tiny_model(bos=bos)
    encoder, tuned = tiny_encoder(base), HardPrompt(shots=2).attach(base, tiny_splits(), 0)
    shown = tuned._ids.tolist()  # with the beginning of a text, where the tokenizer has one
    nats = 0.0
    for context, scored in windows(encoder, TEXT, window_of(base)):
        ids = [*shown, *context[len(encoder.specials.before) :], *scored]
        with torch.no_grad():
            logits = base.network(torch.tensor([ids])).logits[0, -len(scored) - 1 : -1].log_softmax(-1)
        nats -= logits[range(len(scored)), scored].sum().item()
    assert our_bits(tuned, encoder) == pytest.approx(nats / math.log(2) / len(TEXT.encode()), rel=1e-5)


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "plain.txt"
    file.write_text(TEXT)
    return file


def final_of(folder, text, method, **more):  # noqa: F811
    evaluation = {"generations": 0, "retention": {"path": str(text)}}
    return spec_of(folder, method, kind="final", evaluation=evaluation, **more)


@pytest.mark.parametrize("method", ["lora", "prompt_tuning"])
def test_a_final_says_what_its_adapter_costs_as_peft_finds_it(folder, text, tmp_path, method):  # noqa: F811
    options = {method: {"num_virtual_tokens": 5} if method == "prompt_tuning" else {}}
    training = {"learning_rate": 0.1, "max_steps": 6}
    record = run_trial(final_of(folder, text, options, training=training), Session(), Listener(), tmp_path / "adapter")
    assert record.status == "ok"
    found = record.retention
    base = tiny_model()
    encoder = tiny_encoder(base)
    plain = AutoModelForCausalLM.from_pretrained(folder / "llama").eval()
    assert found.before == pytest.approx(their_bits(plain, base, encoder), rel=1e-5)
    tuned = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    assert found.after == pytest.approx(their_bits(tuned, base, encoder), rel=1e-5)
    assert abs(found.after - found.before) > 1e-3
    assert (found.text, found.bytes, found.window, found.reason) == ("plain.txt", len(TEXT.encode()), 128, None)
    assert found.tokens == len(base.tokenizer(TEXT)["input_ids"]) - 1
    assert found.unknown_tokens == 2  # É is two bytes, and this vocabulary has neither
    assert record.seconds["retention"] > 0


def test_full_fine_tuning_changes_the_loss_and_not_what_the_next_trial_begins_with(folder, text):  # noqa: F811
    session = Session()
    first = run_trial(final_of(folder, text, "full_fine_tuning"), session, Listener()).retention
    session.bits_per_byte.clear()
    again = run_trial(final_of(folder, text, "hard_prompt"), session, Listener()).retention
    assert first.after != pytest.approx(first.before, rel=1e-4)
    assert again.before == first.before
    assert again.after == pytest.approx(again.before, rel=1e-6)


def test_what_stands_around_a_text_is_not_forgotten_between_encoders(text):
    base, session = tiny_model(bos=True), Session()
    plain, chat = tiny_encoder(base), tiny_encoder(base)
    chat.specials = Specials((), ())
    asked = RetentionText(path=str(text))
    first, second = (retention_before(asked, base, encoder, session).before for encoder in (plain, chat))
    assert first != second
    assert second == retention_before(asked, base, chat, Session()).before


def test_retention_takes_nothing_from_what_else_is_measured(folder, text, session):  # noqa: F811
    with_it = run_trial(final_of(folder, text, "prompt_tuning", seed=4), session, Listener())
    without = run_trial(spec_of(folder, kind="final", seed=4), session, Listener())
    assert (with_it.train_curve, with_it.test) == (without.train_curve, without.test)
    assert without.retention is None


@pytest.fixture(scope="module")
def session():
    return Session()


def test_a_trial_measures_none(folder, text):  # noqa: F811
    spec = final_of(folder, text, "prompt_tuning").model_copy(update={"kind": "trial"})
    record = run_trial(spec, Guarded(), Listener())
    assert (record.status, record.retention) == ("ok", None)
    assert "retention" not in record.seconds


def test_what_has_no_loss_on_plain_text_says_so(folder, text, session):  # noqa: F811
    record = run_trial(final_of(folder, text, "majority"), session, Listener())
    assert (record.retention.before, record.retention.after) == (None, None)
    assert record.retention.reason == "there is no language model"


def test_a_prompt_that_leaves_no_room_for_a_window_has_no_figure_after(folder, text, session):  # noqa: F811
    method = {"prompt_tuning": {"num_virtual_tokens": 140}}
    record = run_trial(final_of(folder, text, method), session, Listener())
    assert record.status == "ok"
    assert record.retention.before is not None and record.retention.after is None
    assert record.retention.reason == "a window of 129 tokens does not fit behind 140 virtual ones in 256 positions"


def test_a_text_that_went_away_keeps_the_final(folder, text, session):  # noqa: F811
    spec = final_of(folder, text, "prompt_tuning")
    text.unlink()
    record = run_trial(spec, session, Listener())
    assert record.status == "ok" and record.test is not None
    assert "No such file" in record.retention.reason


def test_a_figure_that_is_no_number_is_a_reason_and_the_final_stays(folder, text, session, monkeypatch):  # noqa: F811
    monkeypatch.setattr("bench.training.retention.bits_per_byte", lambda *_: float("nan"))
    record = run_trial(final_of(folder, text, "prompt_tuning"), session, Listener())
    assert record.status == "ok" and record.test is not None
    assert (record.retention.after, "finite number" in record.retention.reason) == (None, True)


@pytest.mark.parametrize(
    ("said", "asked"), [(True, 65_536), (2000, 2000), ({"bytes": 3000}, 3000), (False, None), (None, None)]
)
def test_the_short_forms(said, asked):
    text = Evaluation.model_validate({"retention": said}).retention
    assert (text.bytes if text else None) == asked
    assert Evaluation.model_validate(json.loads(Evaluation(retention=text).model_dump_json())).retention == text


def test_it_is_asked_of_finals_alone_so_trials_stand_and_finals_run_again(folder, text):  # noqa: F811
    plain, asked = spec_of(folder), final_of(folder, text, "prompt_tuning")
    plain = plain.model_copy(update={"cell": asked.cell.model_copy(update={"evaluation": Evaluation(generations=0)})})
    assert plain.cell.hash == asked.cell.hash
    assert plain.cell.targets == () and len(asked.cell.targets) == 1
    assert plain.hash == asked.model_copy(update={"kind": "trial"}).hash
    assert plain.model_copy(update={"kind": "final"}).hash != asked.hash
    text.write_text(TEXT * 2)
    assert final_of(folder, text, "prompt_tuning").hash != asked.hash


def test_a_character_at_the_end_is_not_cut(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("word " * 5 + "é")
    assert read_general_text(26, str(file)).content == "word " * 5
    assert read_general_text(27, str(file)).content == "word " * 5 + "é"


@pytest.mark.parametrize(("content", "said"), [(b"\xff\xfe plain", "UTF-8"), (b"", "expected a text of some length")])
def test_a_file_that_is_no_text_is_refused(tmp_path, content, said):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read_general_text(2000, str(tmp_path / "a.txt"))


def test_the_packaged_text_is_plain_and_as_long_as_was_asked_for():
    text = read_general_text(20_000)
    assert 19_990 < text.bytes <= 20_000
    assert "CANNOTANSWER" not in text.content
    assert read_general_text(10_000).content == text.content[: len(read_general_text(10_000).content)]
