"""P-tuning is PEFT's own encoder before the shared forward, and it loads again with its encoder."""

from __future__ import annotations

import pytest
import torch
from numerics import assert_close
from peers import assert_peft_loads, assert_same_training_step, pairs_of, stir
from peft import PeftConfig, PromptEncoderConfig, get_peft_model
from pydantic import ValidationError
from safetensors.torch import load_file

from bench.methods.p_tuning import PTuning
from bench.methods.tuned.p_tuning import ENCODER_WEIGHTS
from bench.testing.tiny import FAMILIES, tiny_model, tiny_network, tiny_splits

ENCODERS = [{"encoder": "mlp"}, {"encoder": "lstm", "lstm_layers": 1}]


def attach(base, seed=0, **options):
    return PTuning(**{"num_virtual_tokens": 6, "hidden_size": 8} | options).attach(base, tiny_splits(), seed)


def peft_model(family, tuned, encoder="mlp", lstm_layers=2):
    config = PromptEncoderConfig(
        task_type="SEQ_2_SEQ_LM" if family == "t5" else "CAUSAL_LM",
        num_virtual_tokens=6,
        num_transformer_submodules=1,
        encoder_hidden_size=8,
        encoder_num_layers=lstm_layers,
        encoder_reparameterization_type=encoder.upper(),
    )
    model = get_peft_model(tiny_network(family), config).eval()
    model.prompt_encoder["default"].load_state_dict(tuned.encoder.state_dict())
    return model


@pytest.mark.parametrize("options", ENCODERS, ids=["mlp", "lstm"])
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_those_of_peft(family, options):
    base = tiny_model(family)
    tuned = attach(base, **options)
    stir(tuned.trainable().values(), 0.3)
    tuned.train(False)
    assert_same_training_step(base, tuned, peft_model(family, tuned, **options))


@pytest.mark.parametrize("family", FAMILIES)
def test_peft_loads_the_folded_prompt_and_gives_the_same_logits(family, tmp_path):
    base = tiny_model(family)
    tuned = attach(base)
    stir(tuned.trainable().values(), 0.3)
    assert_peft_loads(base, tuned, family, tmp_path)


@pytest.mark.parametrize("options", ENCODERS, ids=["mlp", "lstm"])
def test_training_goes_on_where_it_was_saved(options, tmp_path):
    def train(tuned, steps):
        encoder, pairs = pairs_of(tuned.base)
        batch = encoder.batch(pairs)
        optimizer = torch.optim.SGD(tuned.trainable().values(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(tuned.logits(batch), batch.targets).backward()
            optimizer.step()
        return tuned.prompt.detach().clone()

    one = attach(tiny_model(), seed=1, **options)
    train(one, 2)
    one.save(tmp_path)
    other = attach(tiny_model(), seed=2, **options)
    other.load(tmp_path)
    assert_close(train(other, 2), train(one, 2))


def test_peft_itself_goes_on_training_from_the_saved_encoder(tmp_path):
    base = tiny_model()
    tuned = attach(base)
    stir(tuned.trainable().values(), 0.3)
    tuned.save(tmp_path)
    config = PeftConfig.from_pretrained(tmp_path)
    config.inference_mode = False
    theirs = get_peft_model(tiny_network(), config)
    theirs.prompt_encoder["default"].load_state_dict(load_file(tmp_path / ENCODER_WEIGHTS))
    assert_same_training_step(base, tuned, theirs.eval())


def test_an_encoder_beside_another_prompt_is_refused(tmp_path):
    one, other = attach(tiny_model(), seed=1), attach(tiny_model(), seed=2)
    one.save(tmp_path / "one")
    other.save(tmp_path / "other")
    (tmp_path / "one" / ENCODER_WEIGHTS).write_bytes((tmp_path / "other" / ENCODER_WEIGHTS).read_bytes())
    with pytest.raises(ValueError, match="do not belong together"):
        one.load(tmp_path / "one")


def test_dropout_in_the_encoder_is_on_in_training_only():
    tuned = attach(tiny_model(), encoder="lstm", lstm_layers=2, lstm_dropout=0.5)
    tuned.train(True)
    assert not torch.equal(tuned.prompt, tuned.prompt)
    tuned.train(False)
    assert torch.equal(tuned.prompt, tuned.prompt)


def test_the_published_count_of_an_encoder():
    # bloomz-560m, 20 tokens, hidden 128: 300,288 (see the anchors); here in the same formula at E = 32.
    tuned = attach(tiny_model(), num_virtual_tokens=20, hidden_size=128)
    width, hidden = 32, 128
    assert (
        tuned.added_parameters() == 20 * width + width * hidden + hidden + hidden**2 + hidden + hidden * width + width
    )


@pytest.mark.parametrize("options", [{"num_virtual_tokens": 0}, {"encoder": "gru"}, {"hidden_size": 0}])
def test_what_cannot_be_is_refused(options):
    with pytest.raises(ValidationError):
        PTuning(**options)
