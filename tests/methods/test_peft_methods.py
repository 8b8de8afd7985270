"""Every method of peft that changes layers is peft's own, behind our contract."""

from __future__ import annotations

import json

import pytest
import torch
from numerics import assert_close
from peers import assert_peft_loads, assert_same_training_step, batch_of, pairs_of, peft_answers, stir
from peft import AdaLoraConfig, IA3Config, LNTuningConfig, LoHaConfig, LoraConfig, PeftModel, VeraConfig, get_peft_model
from pydantic import ValidationError

from bench.core.errors import Infeasible
from bench.methods import methods
from bench.methods.target_modules import last_names, norm_layers
from bench.testing.tiny import FAMILIES, assert_same_state, state_of, tiny_model, tiny_network, tiny_splits

OURS = {
    "lora": {"rank": 4},
    "lora, PEFT's own layers": {"rank": 4, "target_modules": None},
    "rslora": {"rank": 4, "rslora": True, "alpha": 3},
    "dora": {"rank": 4, "dora": True},
    "ia3": {},
    "adalora": {"rank": 2, "initial_rank": 4, "orthogonal_weight": 0},
    "vera": {"rank": 8},
    "layernorm": {},
    "peft": {"config_class": "LoHaConfig", "r": 2, "target_modules": "all-linear"},
}
OWN = ("lora", "ia3", "adalora", "vera", "layernorm")
# Variants of LoRA and the general way, which are no code of ours, on a few families only.
PAIRS = [(name, family) for name in OURS for family in (("llama", "t5") if name not in OWN else FAMILIES)]
every_pair = pytest.mark.parametrize(("name", "family"), PAIRS)


def attach(base, name, seed=0, **options):
    method = methods.get("lora" if name in ("rslora", "dora", "lora, PEFT's own layers") else name)
    return method(**{**OURS.get(name, {}), **options}).attach(base, tiny_splits(), seed)


def theirs(name, family):
    """The same adapter as a user of PEFT would write it."""
    kind = {"task_type": "SEQ_2_SEQ_LM" if family == "t5" else "CAUSAL_LM"}
    norms = last_names(list(norm_layers(tiny_network(family))))
    return {
        "lora": lambda: LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", **kind),
        "lora, PEFT's own layers": lambda: LoraConfig(r=4, lora_alpha=8, **kind),
        "rslora": lambda: LoraConfig(r=4, lora_alpha=3, use_rslora=True, target_modules="all-linear", **kind),
        "dora": lambda: LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules="all-linear", **kind),
        "ia3": lambda: IA3Config(**kind),
        "adalora": lambda: AdaLoraConfig(target_r=2, init_r=4, lora_alpha=8, total_step=10, orth_reg_weight=0, **kind),
        "vera": lambda: VeraConfig(r=8, save_projection=False, **kind),
        "layernorm": lambda: LNTuningConfig(target_modules=norms, **kind),
        "peft": lambda: LoHaConfig(r=2, target_modules="all-linear", **kind),
    }[name]()


@every_pair
def test_loss_and_gradients_are_those_of_peft(name, family):
    base = tiny_model(family)
    tuned = attach(base, name)
    model = get_peft_model(tiny_network(family), theirs(name, family)).eval()
    tuned.train(False)
    stir(tuned.trainable().values())
    model.load_state_dict(tuned.adapted.state_dict())
    assert_same_training_step(base, tuned, model)


@every_pair
def test_peft_loads_a_saved_adapter_and_gives_the_same_logits(name, family, tmp_path):
    base = tiny_model(family)
    tuned = attach(base, name)
    tuned.train(False)
    stir(tuned.trainable().values())
    ours, pairs = assert_peft_loads(base, tuned, family, tmp_path), pairs_of(base)[1]
    assert (ours - peft_answers(base, tiny_network(family), pairs)).abs().max() > 1e-3


@every_pair
def test_the_base_model_comes_back_and_the_counts_are_those_of_peft(name, family):
    base = tiny_model(family)
    before = state_of(base.network)
    tuned = attach(base, name)
    trainable, total = tuned.adapted.get_nb_trainable_parameters()
    assert sum(p.numel() for p in tuned.trainable().values()) == trainable > 0
    # AdaLoRA adds one number a layer that is not trained.
    assert tuned.added_parameters() - trainable == (0 if name != "adalora" else len(tuned.trainable()) // 3)
    assert base.parameters + tuned.added_parameters() == total
    stir(tuned.trainable().values())
    encoder, pairs = pairs_of(base)
    tuned.logits(encoder.batch(pairs)).square().mean().backward()
    tuned.detach()
    assert_same_state(base.network, before)


@pytest.mark.parametrize("options", [{"rank": 8, "initial_rank": None}, {"rank": 2, "initial_rank": 32}])
def test_updates_of_adalora_are_scaled_by_two_as_those_of_lora_whatever_its_ranks(options):
    adapted = attach(tiny_model("llama"), "adalora", **options).adapted
    layer = next(module for module in adapted.modules() if hasattr(module, "ranknum"))
    assert layer.scaling["default"] / layer.ranknum["default"].item() == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_layernorm_trains_every_norm_and_nothing_else(family):
    base = tiny_model(family)
    expected = sum(p.numel() for layer in norm_layers(base.network).values() for p in layer.parameters())
    tuned = attach(base, "layernorm")
    assert sum(p.numel() for p in tuned.trainable().values()) == expected > 0


@pytest.mark.parametrize("name", ["lora", "ia3", "adalora", "vera", "layernorm", "peft"])
def test_target_modules_that_match_nothing_are_infeasible_and_the_message_lists_what_exists(name):
    base = tiny_model()
    before = state_of(base.network)
    there = "post_attention_layernorm" if name == "layernorm" else "q_proj, up_proj, v_proj"
    for targets in (("q_prj",), ("q_proj", "q_prj"), "q_prj"):
        if name == "layernorm" and len(targets) == 2:
            continue
        with pytest.raises(Infeasible, match=there) as caught:
            attach(base, name, target_modules=targets)
        assert "\n" not in str(caught.value)
        assert_same_state(base.network, before)
    with pytest.raises(Infeasible, match=r"write \[\w+\]"):
        attach(base, name, target_modules="norm" if name == "layernorm" else "q_proj")


def test_a_name_that_is_nearly_right_is_suggested():
    with pytest.raises(Infeasible, match="did you mean 'q_proj'"):
        attach(tiny_model(), "lora", target_modules=("q_prj",))


def test_target_modules_name_layers_or_a_regular_expression():
    def layers(targets):
        tuned = attach(tiny_model(), "lora", target_modules=targets)
        return {name.partition(".lora_")[0] for name in tuned.trainable()}

    assert len(layers(("q_proj",))) == 2
    assert layers(r".*layers\.0\..*(q|v)_proj") == {
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.v_proj",
    }
    assert len(layers("all-linear")) == 14


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config_class": "LoHaCofig"}, "did you mean 'LoHaConfig'"),
        ({"config_class": "LoHaConfig", "rnak_dropout": 0.1}, "did you mean 'rank_dropout'"),
        ({"config_class": "PromptTuningConfig"}, "prompt_tuning"),
        ({"config_class": "AdaLoraConfig"}, "adalora"),
        ({"config_class": "PolyConfig"}, "more than change layers"),
        ({"config_class": "VBLoRAConfig", "layers_pattern": "h"}, "layers_to_transform"),
    ],
)
def test_a_configuration_that_peft_does_not_know_is_one_clear_line(options, message):
    with pytest.raises(ValidationError, match=message):
        methods.get("peft")(**options)


def test_a_method_that_does_not_suit_the_model_is_infeasible_and_leaves_no_trace():
    base = tiny_model()
    before = state_of(base.network)
    with pytest.raises(Infeasible, match="MissConfig does not suit this model"):
        methods.get("peft")(config_class="MissConfig", r=64).attach(base, tiny_splits(), 0)
    assert_same_state(base.network, before)


@pytest.mark.parametrize("kind", ["BOFTConfig", "HRAConfig", "LoKrConfig", "FourierFTConfig", "OFTConfig"])
def test_other_methods_of_peft_train_and_leave_no_trace(kind):
    sizes = {
        "BOFTConfig": {"boft_block_size": 4},
        "FourierFTConfig": {"n_frequency": 8},
        "OFTConfig": {"oft_block_size": 8},
    }
    base = tiny_model()
    before = state_of(base.network)
    tuned = methods.get("peft")(config_class=kind, **sizes.get(kind, {})).attach(base, tiny_splits(), 0)
    encoder, pairs = pairs_of(base)
    tuned.logits(encoder.batch(pairs)).square().mean().backward()
    assert any(p.grad is not None and p.grad.any() for p in tuned.trainable().values())
    tuned.detach()
    assert_same_state(base.network, before)


class TestAdaLora:
    def trained(self, base, steps, until=None, **options):
        tuned = attach(base, "adalora", rank=1, initial_rank=3, allocation_interval=1, **options)
        batch = batch_of(base)
        optimizer = torch.optim.AdamW(tuned.trainable().values(), lr=1e-2)
        tuned.before_training(steps)
        for step in range(1, (until or steps) + 1):
            torch.nn.functional.cross_entropy(tuned.logits(batch), batch.targets).backward()
            optimizer.step()
            tuned.after_step(step)
            optimizer.zero_grad()
        return tuned

    def test_the_budget_is_kept_at_the_end(self):
        tuned = self.trained(tiny_model(), 12)
        assert tuned.measurements()["mean_rank"] == pytest.approx(1, abs=0.5)
        assert attach(tiny_model(), "adalora").measurements()["mean_rank"] == 0  # as the updates are, at the beginning

    def test_the_steps_are_those_of_peft_alone(self):
        base = tiny_model()
        tuned = self.trained(base, 12)
        model = get_peft_model(
            tiny_network(),
            AdaLoraConfig(
                target_r=1,
                init_r=3,
                lora_alpha=6,
                tinit=1,
                tfinal=6,
                total_step=12,
                orth_reg_weight=0,
                task_type="CAUSAL_LM",
            ),
        )
        start = attach(tiny_model(), "adalora", rank=1, initial_rank=3)
        model.load_state_dict(start.adapted.state_dict())
        batch = batch_of(base)
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=1e-2)
        for step in range(1, 13):
            logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[batch.positions]
            torch.nn.functional.cross_entropy(logits, batch.targets).backward()
            optimizer.step()
            model.base_model.update_and_allocate(step)
            optimizer.zero_grad()
        for ours, other in zip(tuned.trainable().values(), parameters, strict=True):
            assert_close(ours, other)

    @pytest.mark.parametrize("until", [3, 6, 12])
    def test_what_is_saved_at_any_step_is_what_was_measured(self, until, tmp_path):
        base = tiny_model()
        tuned = self.trained(base, 12, until)
        tuned.train(False)
        encoder, pairs = pairs_of(base)
        batch = encoder.batch(pairs)
        with torch.no_grad():
            ours = tuned.logits(batch)
            tuned.save(tmp_path)
            loaded = PeftModel.from_pretrained(tiny_network(), tmp_path).eval()
            assert_close(ours, peft_answers(base, loaded, pairs))
            stir(tuned.trainable().values(), 0.5)
            tuned.load(tmp_path)
            assert_close(tuned.logits(batch), ours)
        if until == 12:
            assert json.loads((tmp_path / "adapter_config.json").read_text())["rank_pattern"]

    def test_ranks_that_have_grown_again_are_saved_too(self, tmp_path):
        base = tiny_model()
        tuned = self.trained(base, 12)
        stir(tuned.trainable().values())
        assert_peft_loads(base, tuned, "llama", tmp_path)

    def test_the_penalty_is_that_of_peft(self):
        base = tiny_model()
        tuned = attach(base, "adalora", orthogonal_weight=0.3)
        model = get_peft_model(
            tiny_network(),
            AdaLoraConfig(
                target_r=2, init_r=4, lora_alpha=8, total_step=10, orth_reg_weight=0.3, task_type="CAUSAL_LM"
            ),
        ).eval()
        model.load_state_dict(tuned.adapted.state_dict())
        batch = batch_of(base)
        ids = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        with torch.no_grad():
            theirs = model(**ids, labels=batch.input_ids).loss - tiny_network()(**ids, labels=batch.input_ids).loss
        assert_close(tuned.penalty(), theirs)

    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_a_very_short_training_ends(self, steps):
        self.trained(tiny_model(), steps)

    @pytest.mark.parametrize("options", [{"rank": 4, "initial_rank": 4}, {"warmup_share": 0.5, "final_share": 0.5}])
    def test_what_cannot_be_is_refused(self, options):
        with pytest.raises(ValidationError):
            methods.get("adalora")(**options)
