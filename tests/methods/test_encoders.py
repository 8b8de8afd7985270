"""Encoders: every method trains a classification head with whatever it trains, as peft does for SEQ_CLS."""

from __future__ import annotations

import peft
import pytest
import torch
from numerics import assert_close, assert_gradients_close
from peers import stir
from torch.nn.functional import cross_entropy
from transformers import AutoModel, AutoModelForSequenceClassification

from bench.core.errors import Infeasible
from bench.methods import methods
from bench.methods.attaching import attach
from bench.models.local import Local
from bench.planning.parameters import attach_weightless, parameters_of, peft_line
from bench.testing.tiny import (
    ENCODERS,
    assert_same_state,
    state_of,
    tiny_encoder,
    tiny_model,
    tiny_network,
    tiny_splits,
    tiny_tokenizer,
)
from bench.training.evaluation import Scorer

LABELS = ("yes", "maybe", "no, not at all")
SPLITS = tiny_splits(LABELS)
SIZES = {"token_dim": 32, "num_layers": 2, "num_attention_heads": 4, "num_transformer_submodules": 1}
OURS = {
    "prompt_tuning": {"num_virtual_tokens": 6},
    "p_tuning": {"num_virtual_tokens": 6, "hidden_size": 8},
    "prefix_tuning": {"num_virtual_tokens": 6},
    "lora": {"rank": 4},
    "ia3": {"target_modules": ["query", "value"]},
    "layernorm": {"target_modules": ["LayerNorm"]},
    "adalora": {"rank": 2, "target_modules": ["query", "value"]},
    "vera": {"rank": 4, "target_modules": ["query", "value"]},
    "peft": {"config_class": "LoHaConfig", "r": 2, "target_modules": ["query", "value"]},
}
PEERS = {
    "prompt_tuning": lambda: peft.PromptTuningConfig(num_virtual_tokens=6, **SIZES),
    "p_tuning": lambda: peft.PromptEncoderConfig(num_virtual_tokens=6, encoder_hidden_size=8, **SIZES),
    "prefix_tuning": lambda: peft.PrefixTuningConfig(num_virtual_tokens=6, **SIZES),
    "lora": lambda: peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"),
    "ia3": lambda: peft.IA3Config(target_modules=["query", "value"], feedforward_modules=[]),
    "layernorm": lambda: peft.LNTuningConfig(target_modules=["LayerNorm"]),
    "adalora": lambda: peft.AdaLoraConfig(
        target_r=2, init_r=3, lora_alpha=6, total_step=10, target_modules=["query", "value"]
    ),
    "vera": lambda: peft.VeraConfig(r=4, target_modules=["query", "value"], save_projection=False, d_initial=0.1),
    "peft": lambda: peft.LoHaConfig(r=2, target_modules=["query", "value"]),
}
PAIRS = [(name, family) for name in OURS for family in ("bert", "roberta")] + [
    (name, family) for name in ("prompt_tuning", "p_tuning", "lora") for family in ("distilbert", "mpnet")
]


def attached(name, family, **options):
    return attach(methods.get(name)(**{**OURS.get(name, {}), **options}), tiny_model(family), SPLITS, 0)


def plain(family):
    """The network as one gets it from transformers for three labels, on the tiny model's body."""
    body = tiny_network(family)
    config = body.config.to_dict() | {"id2label": {str(i): label for i, label in enumerate(LABELS)}}
    network = AutoModelForSequenceClassification.from_config(type(body.config).from_dict(config))
    network.base_model.load_state_dict(body.base_model.state_dict())
    return network.eval()


def peer(name, family):
    config = PEERS[name]()
    config.task_type = "SEQ_CLS"
    if family == "distilbert":
        config.modules_to_save = ["pre_classifier"]
    return peft.get_peft_model(plain(family), config)


def key(name):
    for part in ("base_model.model.", "base_model.", "prompt_encoder.default.", "modules_to_save.default."):
        name = name.replace(part, "")
    return name.replace("prompt_embeddings", "embedding.weight")


def trainable(model):
    return {key(name): p for name, p in model.named_parameters() if p.requires_grad and "ranknum" not in name}


def batch_of(base):
    encoder = tiny_encoder(base, LABELS)
    inputs, _ = encoder.inputs(SPLITS.train[:6], None)
    return encoder.batch([(ids, encoder.label_ids[e.label]) for ids, e in zip(inputs, SPLITS.train, strict=False)])


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_loss_gradients_and_counts_are_those_of_peft(name, family):
    tuned, theirs = attached(name, family), peer(name, family)
    mine, peers = {key(n): p for n, p in tuned.trainable().items()}, trainable(theirs)
    assert mine.keys() == peers.keys()
    counts = parameters_of(tuned)
    assert (counts.trainable, counts.total) == (
        sum(p.numel() for p in peers.values()),
        theirs.get_nb_trainable_parameters()[1],
    )
    stir(mine.values())
    with torch.no_grad():
        for which, parameter in peers.items():
            parameter.copy_(mine[which])
    theirs.eval()
    batch = batch_of(tuned.base)
    ours = cross_entropy(tuned.logits(batch), batch.targets)
    ours.backward()
    out = theirs(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.targets)
    if name == "adalora":  # peft adds its penalty, which is a hook of its own here
        out.loss = cross_entropy(out.logits, batch.targets)
    out.loss.backward()
    assert_close(ours, out.loss)
    assert_gradients_close(*({which: p.grad for which, p in each.items()} for each in (mine, peers)))
    head = [p.grad for n, p in mine.items() if "classifier" in n]
    assert head
    assert all(gradient.norm() > 1e-4 for gradient in head)


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_peft_loads_what_is_saved_with_its_head_and_the_base_comes_back(name, family, tmp_path):
    base = tiny_model(family)
    before = state_of(base.network)
    tuned = attach(methods.get(name)(**OURS[name]), base, SPLITS, 0)
    stir(tuned.trainable().values())
    batch = batch_of(tuned.base)
    tuned.train(False)
    with torch.no_grad():
        ours = tuned.logits(batch)
        tuned.save(tmp_path)
        theirs = peft.PeftModel.from_pretrained(plain(family), tmp_path).eval()
        loaded = theirs(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    assert_close(ours, loaded)
    tuned.detach()
    assert_same_state(base.network, before)


@pytest.mark.parametrize("family", ENCODERS)
def test_fully_fine_tuned_it_is_a_model_of_transformers_that_knows_its_labels(family, tmp_path):
    tuned = attached("full_fine_tuning", family)
    stir(tuned.trainable().values(), scale=0.01)
    batch = batch_of(tuned.base)
    counts = parameters_of(tuned)
    expected = sum(p.numel() for p in plain(family).parameters())
    assert (counts.base, counts.total, counts.trainable) == (expected, expected, expected)
    tuned.save(tmp_path)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert tuple(theirs.config.id2label.values()) == LABELS
    with torch.no_grad():
        found = theirs(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        assert_close(tuned.logits(batch), found)


@pytest.mark.parametrize(
    ("options", "parts"),
    [({"head_only": True}, ()), ({"last_layers": 1}, ("bert.encoder.layer.1.",))],
)
def test_part_of_it_is_trained_with_the_head(options, parts):
    names = set(attached("full_fine_tuning", "bert", **options).trainable())
    assert {name for name in names if not name.startswith(parts)} == {"classifier.weight", "classifier.bias"}
    assert bool(parts) == (len(names) > 2)


def test_another_seed_gives_another_head_and_the_same_seed_the_same():
    tuned = (attach(methods.get("prompt_tuning")(), tiny_model("bert"), SPLITS, seed) for seed in (0, 0, 1))
    one, same, other = (each.trainable()["classifier.weight"] for each in tuned)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("family", ENCODERS)
def test_a_hard_prompt_is_refused_in_one_line_and_leaves_nothing(family):
    base = tiny_model(family)
    before = state_of(base.network)
    for options in ({}, {"shots": 2}, {"calibrate": True}):
        with pytest.raises(Infeasible, match="does not train the classification head"):
            attach(methods.get("hard_prompt")(**options), base, SPLITS, 0)
        assert_same_state(base.network, before)


@pytest.mark.parametrize(("family", "name"), [("distilbert", "DistilBert"), ("mpnet", "MPNet")])
def test_prefix_tuning_of_an_encoder_that_takes_no_keys_and_values_says_so(family, name):
    base = tiny_model(family)
    before = state_of(base.network)
    with pytest.raises(Infeasible, match=name):
        attach(methods.get("prefix_tuning")(), base, SPLITS, 0)
    assert_same_state(base.network, before)


def test_scores_are_the_heads_logits_and_nothing_is_generated():
    tuned = attached("prompt_tuning", "bert")
    scorer = Scorer(tuned, tiny_encoder(tuned.base, LABELS), None, 4)
    done = scorer.run(SPLITS.validation)
    batch = batch_of(tuned.base)
    assert done.scores.shape == (len(SPLITS.validation), len(LABELS))
    with torch.no_grad():
        assert tuned.logits(batch).shape == (6, len(LABELS))
    assert scorer.non_label_share(SPLITS.validation) is None


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("name", ["prompt_tuning", "lora", "full_fine_tuning"])
def test_a_configuration_alone_gives_the_counts_that_peft_prints_for_two_labels(name, family, tmp_path):
    tiny_network(family).config.save_pretrained(tmp_path)
    tuned = attach(methods.get(name)(), tiny_model(family), tiny_splits(), 0)
    found = parameters_of(attach_weightless(str(tmp_path), name, {}, "test"))
    assert found == parameters_of(tuned)
    assert peft_line(found).startswith(f"trainable params: {found.trainable:,} || all params: ")


@pytest.mark.parametrize("pooler", ["trained", "as drawn", "missing"])
def test_where_the_weights_are_there_what_no_training_has_touched_is_counted_as_head(pooler, tmp_path):
    body = AutoModel.from_config(tiny_network("bert").config, add_pooling_layer=pooler != "missing")
    if pooler == "trained":
        torch.nn.init.normal_(body.pooler.dense.bias)
    body.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    base = Local(path=tmp_path).load(torch.device("cpu"), torch.float32)
    assert ("bert.pooler" in base.head.paths) == (pooler != "trained")
    assert ("bert.pooler.dense.weight" in base.head.fresh) == (pooler != "trained")

    tuned = attach(methods.get("prompt_tuning")(), base, tiny_splits(), 0)
    counted = parameters_of(attach_weightless(str(tmp_path), "prompt_tuning", {}, "test"))
    assert counted == parameters_of(tuned)
