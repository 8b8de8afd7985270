"""Folders and files of this machine: tiny random models of several families, and all that may be wrong."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    BloomConfig,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
)

from bench.core.errors import BadInput
from bench.models.conversion import convert_gguf
from bench.models.local import Local

WORDS = ["<first>", "<unk>", "</s>", "<pad>", *"abcdefg", "ab"]
VOCABULARY = {"vocab_size": len(WORDS)}
CONFIGS = {
    "llama": LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        **VOCABULARY,
    ),
    "gpt2": GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=48, **VOCABULARY),
    "bloom": BloomConfig(hidden_size=16, n_layer=1, n_head=2, **VOCABULARY),
    "t5": T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=3, **VOCABULARY),
}


def save_tokenizer(folder: Path, **specials: str) -> None:
    backend = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, **specials).save_pretrained(folder)


def save_model(folder: Path, family: str = "llama") -> torch.nn.Module:
    auto = AutoModelForSeq2SeqLM if family == "t5" else AutoModelForCausalLM
    torch.manual_seed(0)
    network = auto.from_config(CONFIGS[family])
    network.save_pretrained(folder)
    save_tokenizer(folder, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    return network


def load(folder: Path, **options):
    return Local(path=folder, **options).load(torch.device("cpu"), torch.float32)


@pytest.mark.parametrize(
    ("family", "kind", "context"),
    [("llama", "causal", 64), ("gpt2", "causal", 48), ("bloom", "causal", None), ("t5", "seq2seq", None)],
)
def test_a_folder_loads_frozen_with_its_kind_and_context(tmp_path, family, kind, context):
    saved = save_model(tmp_path, family)
    model = load(tmp_path)

    assert (model.kind, model.context_length) == (kind, context)
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert model.tokenizer.padding_side == "right"
    assert model.notes == {}
    for (name, before), after in zip(saved.named_parameters(), model.network.parameters(), strict=True):
        assert torch.equal(before, after), name


def test_tied_weights_are_counted_once(tmp_path):
    save_model(tmp_path, "gpt2")
    model = load(tmp_path)
    assert model.network.get_input_embeddings().weight is model.network.get_output_embeddings().weight
    stored = {tensor.data_ptr(): tensor.numel() for tensor in model.network.state_dict().values()}
    assert model.parameters == sum(stored.values())


@pytest.mark.parametrize(
    ("specials", "used"),
    [
        ({"eos_token": "</s>", "unk_token": "<unk>"}, "</s>"),
        ({"unk_token": "<unk>"}, "<unk>"),
        ({}, "<first>"),
    ],
)
def test_a_missing_pad_token_is_taken_from_the_vocabulary_and_noted(tmp_path, specials, used):
    save_model(tmp_path)
    save_tokenizer(tmp_path, **specials)

    model = load(tmp_path)

    assert model.tokenizer.pad_token == used
    assert used in model.notes["pad_token"]
    assert len(model.tokenizer) == model.network.get_input_embeddings().num_embeddings == len(WORDS)


def test_a_pad_token_without_a_row_of_the_embedding_is_not_used(tmp_path):
    save_model(tmp_path)
    save_tokenizer(tmp_path, pad_token="[PAD]", eos_token="</s>")

    model = load(tmp_path)

    assert model.tokenizer.pad_token == "</s>"
    assert "12 rows" in model.notes["pad_token"]


def test_the_revision_is_the_hash_of_the_weights_and_follows_a_change(tmp_path):
    save_model(tmp_path)
    source = Local(path=tmp_path)
    before = source.revision_id()
    assert len(before) == 64

    save_tokenizer(tmp_path, eos_token="</s>")
    assert source.revision_id() == before

    with (tmp_path / "model.safetensors").open("ab") as file:
        file.write(b" ")
    assert source.revision_id() != before


def test_sharded_weights_load_and_a_missing_shard_is_named(tmp_path):
    network = save_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    network.save_pretrained(tmp_path, max_shard_size="8KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert load(tmp_path).parameters == sum(p.numel() for p in network.parameters())

    shards[0].unlink()
    with pytest.raises(BadInput, match=f"not complete: {shards[0].name} is missing"):
        Local(path=tmp_path).prepare()


def test_an_index_of_a_format_that_is_not_used_is_not_asked(tmp_path):
    save_model(tmp_path)
    (tmp_path / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "pytorch_model-1.bin"}}')
    Local(path=tmp_path).prepare()


def test_an_index_that_is_none_is_said_so(tmp_path):
    save_model(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "model-1.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(BadInput, match="is no index of weights"):
        Local(path=tmp_path).prepare()


def test_old_bin_weights_load_if_they_are_only_weights(tmp_path):
    network = save_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")

    found = dict(load(tmp_path).network.named_parameters())

    assert all(torch.equal(found[name], parameter) for name, parameter in network.named_parameters())


def test_a_bin_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path):
    save_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    mark = tmp_path / "it-ran"

    class Payload:
        def __reduce__(self):
            return Path.touch, (mark,)

    torch.save({"model.embed_tokens.weight": Payload()}, tmp_path / "pytorch_model.bin", pickle_module=pickle)

    with pytest.raises(BadInput, match="does not load"):
        load(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no weights"),
        ("tokenizer*", "has no tokenizer"),
    ],
)
def test_what_a_folder_lacks_is_said_before_anything_is_loaded(tmp_path, pattern, said):
    save_model(tmp_path)
    for path in tmp_path.glob(pattern):
        path.unlink()
    with pytest.raises(BadInput, match=said):
        Local(path=tmp_path).prepare()


def test_a_folder_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(BadInput, match="is not a folder"):
        Local(path=tmp_path / "nothing").prepare()


ENCODER = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, **VOCABULARY)


@pytest.mark.parametrize(
    ("checkpoint", "head"),
    [
        (BertModel, ("classifier",)),
        (BertForMaskedLM, ("bert.pooler", "classifier")),  # a masked language model trains no pooler
        (BertForSequenceClassification, ("classifier",)),
    ],
)
def test_an_encoder_gets_a_head_that_the_checkpoint_need_not_have(tmp_path, checkpoint, head):
    saved = checkpoint(ENCODER)
    for name, parameter in saved.named_parameters():
        if name.endswith("pooler.dense.bias"):  # zero is that of a pooler which was never trained
            torch.nn.init.normal_(parameter)
    saved.save_pretrained(tmp_path)
    save_tokenizer(tmp_path, pad_token="<pad>")
    Local(path=tmp_path).check()
    model = load(tmp_path)
    assert (model.kind, model.head.paths) == ("encoder", head)
    for name, parameter in saved.base_model.named_parameters():
        assert torch.equal(model.network.base_model.get_parameter(name), parameter)
    before = dict(model.network.named_parameters())
    three = model.for_labels(("a", "b", "c"), seed=0)
    assert three.parameters == model.parameters + 17
    assert three.head_parameters()["classifier.weight"].shape == (3, 16)
    three.release()
    after = dict(model.network.named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.norm.weight", "model.norm.weight"),
        ("encoder.layer.0.output.dense.bias", "bert.encoder.layer.0.output.dense.bias"),
    ],
)
def test_weights_that_do_not_fill_the_network_are_refused(tmp_path, name, said):
    save_model(tmp_path)
    if said.startswith("bert"):
        BertModel(ENCODER).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights[name]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match=re.escape(f"do not fill the network: {said}")):
        load(tmp_path)


def test_a_decoder_with_a_head_for_something_else_is_no_language_model(tmp_path):
    GPT2ForSequenceClassification(CONFIGS["gpt2"]).save_pretrained(tmp_path)
    save_tokenizer(tmp_path, pad_token="<pad>")
    with pytest.raises(BadInput, match="GPT2ForSequenceClassification is no generative language model"):
        load(tmp_path)


def test_positions_are_counted_from_behind_the_padding_token_where_the_family_does_so(tmp_path):
    sizes = ENCODER.to_dict() | {"model_type": "roberta", "max_position_embeddings": 34, "pad_token_id": 1}
    RobertaModel(RobertaConfig.from_dict(sizes)).save_pretrained(tmp_path)
    save_tokenizer(tmp_path, pad_token="<unk>")
    model = load(tmp_path)
    assert model.context_length == 32
    model.network(input_ids=torch.full((1, 32), 5))
    with pytest.raises((IndexError, RuntimeError), match="index"):
        model.network(input_ids=torch.full((1, 33), 5))


def test_a_folder_with_code_of_its_own_is_refused_unless_trusted(tmp_path):
    save_model(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(BadInput, match="say 'trust_remote_code: true'"):
        load(tmp_path)


def test_an_error_of_a_strange_folder_is_one_line(tmp_path):
    save_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no tensors at all")
    with pytest.raises(BadInput) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def write_gguf(path: Path, network: torch.nn.Module) -> None:
    """Write a Llama as a GGUF of float32, the way llama.cpp lays it out: query and key rows interleaved."""
    import gguf

    config = network.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(WORDS)
    writer.add_token_types([3, 3, 3, 3] + [1] * 8)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(1)
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
        "model.layers": "blk",
    }
    for name, tensor in network.state_dict().items():
        array = tensor.numpy()
        for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
            if part in name:
                array = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def llama_and_gguf(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    network = save_model(tmp_path / "saved").eval()
    folder = tmp_path / "ggufs"
    folder.mkdir()
    write_gguf(folder / "tiny.gguf", network)
    return network, folder


def test_a_gguf_is_converted_once_and_computes_the_same(llama_and_gguf, capfd):
    network, folder = llama_and_gguf

    by_name, by_file = load(folder, gguf_file="tiny.gguf"), load(folder / "tiny.gguf")

    ids = torch.arange(len(WORDS)).unsqueeze(0)
    with torch.no_grad():
        expected = network(ids).logits
        for model in (by_name, by_file):
            torch.testing.assert_close(model.network(ids).logits, expected, rtol=0, atol=1e-6)
    assert by_name.revision == by_file.revision
    assert by_name.parameters == sum(p.numel() for p in network.parameters())
    assert by_name.context_length == 64
    assert capfd.readouterr() == ("", "")


def test_a_head_that_a_gguf_stores_apart_can_be_tied_again(llama_and_gguf, tmp_path):
    network, folder = llama_and_gguf
    target = tmp_path / "tied"
    target.mkdir()

    convert_gguf(folder / "tiny.gguf", target, tie_head=True)

    tied = load(target).network
    assert tied.get_input_embeddings().weight is tied.get_output_embeddings().weight
    assert torch.equal(tied.get_input_embeddings().weight, network.get_output_embeddings().weight)


def test_a_folder_that_holds_only_a_gguf_says_which_key_to_set(llama_and_gguf):
    with pytest.raises(BadInput, match=r"set 'gguf_file: tiny\.gguf'"):
        Local(path=llama_and_gguf[1]).prepare()


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"PK..")
    with pytest.raises(BadInput, match="is not a GGUF file"):
        Local(path=tmp_path / "x.gguf").prepare()
