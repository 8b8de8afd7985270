"""Whatever way is chosen for a family, its logits and gradients are those of transformers' own padded forward."""

from __future__ import annotations

import pytest
import torch
from drawn_batch import asked_of
from families import FAMILIES, NOT_BUILT, VARIANTS, is_causal_family, tiny
from numerics import GRADIENT, assert_close
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from bench.core.errors import Infeasible
from bench.forward.batch import Batch
from bench.forward.padded import plain_logits, prompted_logits
from bench.forward.pathway import Pathway
from bench.forward.shared_prefix import holds_all_positions
from bench.methods.hard_prompt import HardPrompt
from bench.testing.tiny import handle, tiny_encoder, tiny_splits, tiny_tokenizer


def names(text: str) -> list[str]:
    return [name.replace("+", " ") for name in text.split()]


# All others are packed, also behind a prefix. A name that goes is a gain, one that comes a loss.
PACKED_WITHOUT_PREFIX = names(
    """
    axk1 deepseek_v2 deepseek_v3 glm4_moe_lite longcat_flash minicpm3 youtu
    diffllama jetmoe
    hrm_text
    llama+with+dynamic+rope phi3+with+longrope
    """
)
"""The cache keeps a latent of keys and values, or these in another shape, or of layers that run several times;
rotary positions that change once an input is long."""
SHARED_PREFIX = names(
    """
    big_bird biogpt bloom camembert codegen data2vec-text doge falcon flint git gpt_neo gpt_neox_japanese gpt_oss gptj
    gemma2 granite_swa granitemoe_swa megatron-bert mimo_v2_flash mpt rembert roberta roberta-prelayernorm roformer
    stablelm trocr vaultgemma xglm xlm-roberta xlm-roberta-xl xmod
    """
)
"""Attention or positions of their own: ALiBi, sinks, soft-capped scores, local attention, positions by padding."""
PADDED = names(
    """
    bailing_hybrid bamba falcon_h1 falcon_mamba granitemoehybrid inkling2_text inkling_text jamba kimi_linear lfm2
    lfm2_moe lfm3 mamba mamba2 minimax nemotron_h olmo_hybrid qwen3_5_moe_text qwen3_5_text qwen3_next qwen4_exp_text
    recurrent_gemma rwkv xlstm zamba zamba2 zaya
    axk2 deepseek_v32 dots3_note_text glm_moe_dsa hy_v4 minimax_m3_vl_text
    llama4_text openai-gpt reformer xlm xlnet
    gemma3_text+looking+both+ways
    """
)
"""States and convolutions; an indexer that chooses keys; chunks, no cache; attention to what comes later."""
BY_TOKENS_ONLY = ["deepseek_v4", "gemma3n_text", "gemma4_text"]
"""Padded, and without prompts: layers look more up by a token's id."""
INFEASIBLE = ["cpmant"]
"""Pads on the left by itself."""
BY_THE_BATCH = names(
    """
    axk2 deepseek_v32 dots3_note_text glm_moe_dsa hy_v4
    llama+with+dynamic+rope phi3+with+longrope
    """
)
"""An example alone is no peer: an indexer breaks ties by the width of the batch, rotary positions follow its longest
example."""
TRIED = [name for name in FAMILIES if name not in NOT_BUILT and is_causal_family(name)] + VARIANTS


def batch_of(network: PreTrainedModel) -> Batch:
    """Return four examples of unequal lengths, three of them longer than every window, two of them branches."""
    generator = torch.Generator().manual_seed(3)

    def words(length: int) -> list[int]:
        return torch.randint(4, 100, (length,), generator=generator).tolist()

    question = words(13)
    rows = [[*question, *words(6)], [*question, *words(9)], [*question[:3], *words(15)], [*question[:3], *words(4)]]
    pad = getattr(network.config.get_text_config(decoder=True), "pad_token_id", None) or 0
    return asked_of(rows, generator, pad)


def prompt_of(network: PreTrainedModel) -> Tensor:
    table = network.get_input_embeddings().weight
    noise = torch.randn(5, table.shape[1], generator=torch.Generator().manual_seed(5))
    return (noise * table.std()).requires_grad_(True)


def alone(network: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the logits of examples that are run one by one, without padding."""
    rows = []
    for index, length in enumerate(batch.attention_mask.sum(1).tolist()):
        ids, mask, positions = (
            each[index : index + 1, :length] for each in (batch.input_ids, batch.attention_mask, batch.positions)
        )
        rows.append(plain_logits(network, Batch(ids, mask, positions, batch.targets)))
    return torch.cat(rows)


def assert_equal(name: str, ours: Tensor, theirs: Tensor, batch: Batch, prompt: Tensor | None = None) -> None:
    assert_close(ours, theirs, what=f"logits of {name}")
    if prompt is not None:
        one, other = (torch.autograd.grad(cross_entropy(each, batch.targets), [prompt])[0] for each in (ours, theirs))
        assert_close(one, other, GRADIENT, what=f"gradient of {name}")


def expected(name: str) -> tuple[str, bool, bool]:
    """Return the way of a family, whether it takes prompts, and whether a prefix can stand in for one."""
    if name in SHARED_PREFIX:
        return "shared prefix", True, True
    if name in PADDED:
        return "padded", True, False
    return ("padded", False, False) if name in BY_TOKENS_ONLY else ("packed", True, name not in PACKED_WITHOUT_PREFIX)


@pytest.mark.parametrize("name", TRIED)
def test_the_chosen_way_gives_what_transformers_gives_beyond_every_window(name: str) -> None:
    network = tiny(name)
    batch, prompt = batch_of(network), prompt_of(network)
    if name in INFEASIBLE:
        with pytest.raises(Infeasible, match="other logits in a padded batch than alone"):
            Pathway.of(network)
        return
    way = Pathway.of(network)
    assert (way.name, way.prompts, way.prefixes) == expected(name)

    # Right padding is not seen, so that the padded batch is a peer at all.
    padded = plain_logits(network, batch)
    if name not in BY_THE_BATCH:
        assert_equal(f"{name}, padded", padded, alone(network, batch), batch)
    if way.name == "padded":
        return  # nothing of ours is in it
    assert_equal(name, way.logits(batch), padded, batch)
    behind = prompted_logits(network, prompt, batch)
    assert_equal(f"{name} behind a prompt", way.logits(batch, prompt), behind, batch, prompt)
    if way.prefixes:
        behind = prompted_logits(network, prompt, batch)
        prefix = way.prefix_of(prompt)
        assert_equal(f"{name} behind a prefix", way.logits(batch, prefix=prefix), behind, batch, prompt)


@pytest.mark.parametrize("name", BY_TOKENS_ONLY)
def test_a_prompt_is_refused_where_layers_look_up_tokens(name: str) -> None:
    network = tiny(name)
    batch, prompt = batch_of(network), prompt_of(network)
    with pytest.raises(Infeasible, match="takes no input embeddings before its tokens"):
        Pathway.of(network).logits(batch, prompt)


@pytest.mark.parametrize("name", ["mamba", "jamba", "zamba2", "bamba", "recurrent_gemma", "lfm2", "llama4_text"])
def test_a_past_that_is_more_than_keys_and_values_is_known(name: str) -> None:
    assert not holds_all_positions(tiny(name))


def test_solved_examples_go_by_their_tokens_where_embeddings_cannot_stand_for_them() -> None:
    base = handle(tiny("gemma3n_text"), tiny_tokenizer())
    splits = tiny_splits()
    tuned = HardPrompt(shots=2).attach(base, splits, 0)
    encoder = tiny_encoder(base)
    inputs, _ = encoder.inputs(splits.validation[:3], None)
    found = tuned.logits(encoder.batch([(ids, encoder.label_ids[0]) for ids in inputs]))

    shown = tuned._ids.tolist()
    for ids, row in zip(inputs, found, strict=True):
        expected = base.network(input_ids=torch.tensor([[*shown, *ids]])).logits[0, -1]
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-4)


def test_a_prompt_is_not_changed_by_a_family_that_scales_its_input_in_place() -> None:
    network = tiny("ctrl")
    prompt = prompt_of(network)
    before = prompt.detach().clone()
    with torch.no_grad():
        Pathway.of(network).prefix_of(prompt)
    assert torch.equal(prompt, before)


def test_no_family_is_left_out_in_silence() -> None:
    """A number that changes says that transformers has another family, or that one cannot be tried any more."""
    assert len(TRIED) - len(VARIANTS) + len(NOT_BUILT) == 160
