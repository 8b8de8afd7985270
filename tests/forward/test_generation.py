"""Free answers are those of transformers and PEFT, token for token, and end where they are told to."""

from __future__ import annotations

import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError
from transformers import GenerationConfig, TopPLogitsWarper

from bench.core.errors import BadInput, Infeasible
from bench.forward import pathway
from bench.forward.settings import Generate
from bench.methods import methods
from bench.methods.base import TunedModel
from bench.methods.hard_prompt import HardPrompt
from bench.methods.tuned.prompt_tuning import DecoderPrompt, SoftPrompt
from bench.testing.tiny import CAUSAL, FAMILIES, handle, tiny_model, tiny_network, tiny_splits, tiny_tokenizer

LENGTHS = (3, 25, 9, 9, 14)
LONG = Generate(max_new_tokens=24)
TIE = 1e-5
"""Two likeliest logits that are closer than this, relative, are a tie, which rounding decides."""


def random_inputs(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(4, 80, (length,), generator=generator).tolist() for length in lengths]


def assert_same_tokens(ours, theirs, behind):
    """Compare two answers; behind a tie they may part.

    Args:
        ours: the tokens of ours.
        theirs: those of the peer.
        behind: the logits [V] behind the input and the beginning of an answer.
    """
    if list(ours) == list(theirs):
        return
    pairs = zip(ours, theirs, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
    first, second = behind(list(theirs[:at])).topk(2).values.tolist()
    assert first - second < TIE * abs(first), f"at token {at}: {list(ours)} and {list(theirs)}, {first} over {second}"


def network_of(family):
    """A network whose answers go on in many ways: the tiny T5, as it is drawn, says one token over and over."""
    network = tiny_network(family)
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters() if family == "t5" else ():
        if parameter.dim() == 2:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return network


def model_of(family, bos=False):
    return handle(network_of(family), tiny_tokenizer(bos=bos))


def of_transformers(model, ids, settings, **more):
    """What a model of transformers or PEFT answers to one input by itself."""
    found = model.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        do_sample=False,
        max_new_tokens=settings.max_new_tokens,
        **more,
    )[0].tolist()
    return found[1:] if model.config.is_encoder_decoder else found[len(ids) :]


def logits_behind(model, ids):
    """Return what gives a model's logits behind an answer's beginning, by the whole text."""

    @torch.no_grad()
    def behind(begun):
        if model.config.is_encoder_decoder:
            inputs = {"input_ids": torch.tensor([ids]), "decoder_input_ids": torch.tensor([[2, *begun]])}
        else:
            inputs = {"input_ids": torch.tensor([[*ids, *begun]])}
        return model(**inputs, attention_mask=torch.ones_like(inputs["input_ids"])).logits[0, -1]

    return behind


def assert_answers_of(model, tuned, settings=LONG, inputs=None):
    inputs = inputs or random_inputs(LENGTHS)
    answers = tuned.generate(inputs, settings, batch_size=3)
    for ids, answer in zip(inputs, answers, strict=True):
        assert_same_tokens(answer.ids, of_transformers(model, ids, settings), logits_behind(model, ids))
    return answers


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_are_those_of_transformers_in_the_order_of_the_inputs(family):
    base = model_of(family)
    tuned = TunedModel(base)
    answers = assert_answers_of(network_of(family), tuned)
    assert tuned.pathway.caches
    assert len({answer.ids for answer in answers}) > 3


def trained(name, base, tmp_path, **options):
    """Attach a method, move its weights, and load the same into PEFT's own model."""
    tuned = methods.build(name, options, name).attach(base, tiny_splits(), 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in tuned.trainable().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    tuned.save(tmp_path)
    return tuned


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["prompt_tuning", "prefix_tuning", "lora"])
def test_greedy_answers_of_a_trained_model_are_those_of_peft(name, family, tmp_path):
    if (name, family) == ("prefix_tuning", "t5"):
        pytest.skip("prefix tuning is refused for encoder-decoders")
    base = model_of(family)
    options = {} if name == "lora" else {"num_virtual_tokens": 20}
    tuned = trained(name, base, tmp_path, **options)
    theirs = PeftModel.from_pretrained(network_of(family), str(tmp_path)).eval()
    answers = assert_answers_of(theirs, tuned)
    own = TunedModel(model_of(family)).generate(random_inputs(LENGTHS), LONG)
    assert [a.ids for a in answers] != [a.ids for a in own], "what was trained changes nothing"


@pytest.mark.parametrize("family", CAUSAL)
def test_a_network_without_a_shared_prefix_answers_the_same(family, monkeypatch):
    """Where a prompt cannot be computed once it stands before every example, and its positions are kept as well."""
    prompt = torch.randn(20, 32, generator=torch.Generator().manual_seed(4))
    expected = SoftPrompt(model_of(family), prompt).generate(random_inputs(LENGTHS), LONG)
    monkeypatch.setattr(pathway, "can_pack", lambda network: False)
    monkeypatch.setattr(pathway, "can_share", lambda network: False)
    tuned = SoftPrompt(model_of(family), prompt)
    assert tuned.generate(random_inputs(LENGTHS), LONG) == expected
    assert (tuned.pathway.name, tuned.pathway.caches) == ("padded", True)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_text_again_for_every_token_gives_the_same(family, monkeypatch):
    tuned = TunedModel(model_of(family))
    expected = tuned.generate(random_inputs(LENGTHS), LONG)
    monkeypatch.setattr(pathway, "can_cache", lambda network, prompts, prefixes: False)
    again = TunedModel(model_of(family))
    assert again.generate(random_inputs(LENGTHS), LONG) == expected
    assert not again.pathway.caches


def test_the_prompts_of_encoder_and_decoder_answer_as_by_the_whole_text():
    prompt = torch.randn(8, 32, generator=torch.Generator().manual_seed(4))
    kept, again = (DecoderPrompt(model_of("t5"), prompt, 3) for _ in range(2))
    again.__dict__["pathway"] = again.pathway
    again.pathway.__dict__["caches"] = False
    inputs = random_inputs(LENGTHS)
    assert kept.generate(inputs, LONG) == again.generate(inputs, LONG)
    assert kept.pathway.caches


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_solved_examples_stand_before_the_input(family):
    base = model_of(family, bos=family == "llama")
    tuned = HardPrompt(shots=2).attach(base, tiny_splits(), 0)
    shown = tuned._ids.tolist()
    before = [] if family == "t5" else [0]
    inputs = random_inputs((4, 11))
    network = network_of(family)
    for ids, answer in zip(inputs, tuned.generate([[*before, *ids] for ids in inputs], LONG), strict=True):
        whole = [*shown, *ids]
        assert_same_tokens(answer.ids, of_transformers(network, whole, LONG), logits_behind(network, whole))


class Told(TunedModel):
    """A plug-in that says its logits alone: a fixed answer, whatever the input."""

    def __init__(self, base, answer):
        super().__init__(base)
        self.answer = [*base.tokenizer(answer, add_special_tokens=False)["input_ids"], 1]
        self.widths = []

    def logits(self, batch):
        assert batch.positions.sum(1).tolist() == [1] * len(batch)
        self.widths.append(batch.input_ids.shape)
        place = batch.attention_mask.sum(1) - 3
        return torch.nn.functional.one_hot(torch.tensor(self.answer)[place], 112).float()


def test_a_method_that_says_its_logits_alone_generates_by_them():
    tuned = Told(tiny_model(), " yes, good")
    answers = tuned.generate(random_inputs((3, 3, 3)), Generate(max_new_tokens=30), batch_size=2)
    assert {(a.text, a.ended, len(a.ids)) for a in answers} == {(" yes, good", "end", len(tuned.answer))}
    assert tuned.widths[: len(tuned.answer)] == [(2, 3 + n) for n in range(len(tuned.answer))]


class Doubling(SoftPrompt):
    """A plug-in on a method of the house that changes its logits alone."""

    def logits(self, batch):
        return -super().logits(batch)


def test_logits_that_a_subclass_changes_are_what_generates():
    prompt = torch.randn(4, 32, generator=torch.Generator().manual_seed(4))
    tuned, plain = Doubling(tiny_model(), prompt), SoftPrompt(tiny_model(), prompt)
    (answer,) = tuned.generate([[5, 6, 7]], Generate(max_new_tokens=3))
    assert answer.ids != plain.generate([[5, 6, 7]], Generate(max_new_tokens=3))[0].ids
    with torch.no_grad():
        rows = torch.cat([prompt, tuned.network.get_input_embeddings()(torch.tensor([5, 6, 7]))])
        assert answer.ids[0] == tuned.network(inputs_embeds=rows[None]).logits[0, -1].argmin()


def test_what_stands_before_all_inputs_is_run_once_and_what_has_ended_no_further(monkeypatch):
    tuned = SoftPrompt(tiny_model(), torch.randn(7, 32, generator=torch.Generator().manual_seed(0)))
    # Tokens of many answers are made end tokens, so that some end early and others go on.
    tuned.network.generation_config = GenerationConfig(eos_token_id=list(range(1, 112, 9)))
    assert tuned.pathway.caches  # the trial itself runs tokens
    seen, inner = [], tuned.network.base_model.forward

    def counted(*args, **kwargs):
        given = kwargs.get("input_ids")
        seen.append(tuple((kwargs["inputs_embeds"] if given is None else given).shape[:2]))
        return inner(*args, **kwargs)

    monkeypatch.setattr(tuned.network.base_model, "forward", counted)
    inputs = random_inputs((5,) * 40, seed=3)
    answers = tuned.generate(inputs, Generate(max_new_tokens=12, temperature=1.0), batch_size=40)
    assert seen[:2] == [(1, 7), (40, 5)]
    running = [sum(len(a.ids) > n for a in answers) for n in range(1, 12)]
    assert seen[2:] == [(rows, 1) for rows in running if rows]
    assert 0 < running[0] < 40


# Where answers end


@pytest.mark.parametrize(
    ("stop", "text", "ended"),
    [
        ((), " good, no? yes. bad", "end"),
        ("? ", " good, no", "stop"),
        ((" bad", " yes"), " good, no?", "stop"),
        ((" yes", " bad"), " good, no?", "stop"),
        ("d, n", " goo", "stop"),
        (" maybe", " good, no? yes. bad", "end"),
        ("</s>", " good, no? yes. bad", "stop"),
    ],
)
def test_an_answer_ends_before_a_stop_text(stop, text, ended):
    tuned = Told(tiny_model(), " good, no? yes. bad")
    (found,) = tuned.generate([[5, 6, 7]], Generate(stop=stop, max_new_tokens=40))
    assert (found.text, found.ended) == (text, ended)


def test_an_answer_that_reaches_its_limit_says_so():
    tuned = Told(tiny_model(), " good, no? yes. bad")
    limited = tuned.generate([[5, 6, 7]], Generate(max_new_tokens=3))[0]
    assert (limited.ended, len(limited.ids)) == ("limit", 3)
    whole = len(tuned.answer)
    assert tuned.generate([[5, 6, 7]], Generate(max_new_tokens=whole))[0].ended == "end"


@pytest.mark.parametrize("stop", ["é", "日本", "yes\tno"])
def test_a_stop_text_that_no_answer_can_hold_is_refused(stop):
    with pytest.raises(BadInput, match=r"generate\.stop: .* cannot come out of this model's tokenizer"):
        TunedModel(tiny_model()).generate([[5, 6]], Generate(stop=stop))


def test_all_end_tokens_of_a_model_end_an_answer():
    base = tiny_model()
    plain = TunedModel(base).generate([[5, 6, 7]], LONG)[0]
    base.network.generation_config = GenerationConfig(eos_token_id=[1, plain.ids[2]])
    ended = TunedModel(base).generate([[5, 6, 7]], LONG)[0]
    at = plain.ids.index(plain.ids[2])
    assert (ended.ids, ended.ended) == (plain.ids[: at + 1], "end")


@pytest.mark.parametrize(
    ("virtual", "length", "new", "fits"),
    [(0, 200, 57, True), (0, 200, 58, False), (20, 200, 37, True), (20, 200, 38, False)],
)
def test_a_limit_that_leaves_no_room_is_refused(virtual, length, new, fits):
    base = tiny_model()  # of 256 positions; the last token of an answer takes none
    tuned = SoftPrompt(base, torch.randn(virtual, 32)) if virtual else TunedModel(base)
    inputs, settings = random_inputs((3, length)), Generate(max_new_tokens=new)
    if fits:
        assert len(tuned.generate(inputs, settings)) == 2
        return
    with pytest.raises(Infeasible, match=r"generate\.max_new_tokens: an input of 200 tokens and an answer of"):
        tuned.generate(inputs, settings)


def test_an_input_without_tokens_and_a_head_over_labels_are_refused():
    with pytest.raises(BadInput, match="input 1 has no tokens"):
        TunedModel(tiny_model()).generate([[5], []], LONG)
    with pytest.raises(Infeasible, match="it generates no text"):
        TunedModel(tiny_model("bert")).generate([[5]], LONG)


def test_nothing_is_generated_of_nothing():
    assert TunedModel(tiny_model()).generate([], LONG) == []


@pytest.mark.parametrize("name", ["t5", "llama"])
def test_every_token_is_told_as_it_comes(name):
    tuned, told = TunedModel(model_of(name)), {}
    answers = tuned.generate(
        random_inputs(LENGTHS),
        LONG,
        batch_size=3,
        on_token=lambda index, token: told.setdefault(index, []).append(token),
    )
    assert [tuple(told[index]) for index in range(len(answers))] == [answer.ids for answer in answers]


# Answers that are drawn


def test_a_seed_draws_the_same_answers_whatever_the_batches():
    tuned, inputs = TunedModel(tiny_model()), random_inputs(LENGTHS)
    settings = Generate(max_new_tokens=20, temperature=0.8, top_p=0.9, seed=5)
    answers = tuned.generate(inputs, settings, batch_size=3)
    assert tuned.generate(inputs, settings, batch_size=1) == answers
    assert tuned.generate(inputs[:2], settings) == answers[:2]
    assert tuned.generate(inputs, settings.model_copy(update={"seed": 6})) != answers


def test_one_input_twice_is_drawn_twice():
    one, other = TunedModel(tiny_model()).generate([[5, 6, 7]] * 2, Generate(temperature=1.0))
    assert one != other


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.7)])
def test_tokens_are_drawn_by_the_probabilities_of_transformers(temperature, top_p):
    base, number = tiny_model(), 2000
    tuned = TunedModel(base)
    settings = Generate(max_new_tokens=1, temperature=temperature, top_p=top_p)
    drawn = torch.tensor([a.ids[0] for a in tuned.generate([[5, 6, 7]] * number, settings, batch_size=500)])
    with torch.no_grad():
        scores = base.network(torch.tensor([[5, 6, 7]])).logits[0, -1:] / temperature
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    expected = scores.softmax(-1)[0]
    counts = torch.bincount(drawn, minlength=112)
    assert counts[expected == 0].sum() == 0
    # Five standard deviations of a binomial count, of each token.
    spread = (number * expected * (1 - expected)).sqrt()
    assert ((counts - number * expected).abs() <= 5 * spread + 1).all()
    assert (counts > 0).sum() > 3


def test_a_temperature_close_to_zero_is_greedy():
    tuned, inputs = TunedModel(tiny_model()), random_inputs(LENGTHS)
    cold = tuned.generate(inputs, Generate(max_new_tokens=24, temperature=1e-300))
    assert cold == tuned.generate(inputs, LONG)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_new_tokens": 0},
        {"stop": [""]},
        {"temperature": -1},
        {"temperature": float("inf")},
        {"temperature": 1, "top_p": 0},
        {"top_p": 0.9},
    ],
)
def test_settings_that_mean_nothing_are_refused(fields):
    with pytest.raises(ValidationError):
        Generate(**fields)


def test_a_single_stop_text_is_a_list_of_one():
    assert Generate(stop="\n").stop == ("\n",)
