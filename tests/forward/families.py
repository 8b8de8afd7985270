"""Tiny networks of every causal family that the installed transformers has."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

VOCABULARY = 112


def named(value: int, names: str) -> dict[str, Any]:
    """Return a value for each of many names of fields."""
    return dict.fromkeys(names.split(), value)


WIDTH = named(
    32,
    "hidden_size n_embd d_model emb_dim dim embedding_dim attention_hidden_size word_embed_proj_dim embedding_size "
    "input_embedding_size output_embedding_size lru_width",
)
FEED_FORWARD = named(
    48,
    "intermediate_size n_inner ffn_dim ffn_hidden_size decoder_ffn_dim encoder_ffn_dim d_inner dense_intermediate_size "
    "intermediate_size_mlp dff dim_ff",
)
EXPERT = named(
    16,
    "moe_intermediate_size shared_expert_intermediate_size shared_intermediate_size expert_ffn_hidden_size "
    "moe_shared_expert_intermediate_size shared_experts_intermediate_size",
)
FOUR = named(
    4,
    "num_hidden_layers n_layer n_layers num_attention_heads n_head n_heads num_heads decoder_attention_heads "
    "encoder_attention_heads swa_num_attention_heads num_experts num_local_experts n_routed_experts moe_num_experts "
    "qk_rope_head_dim qk_nope_head_dim index_block_size linear_num_value_heads mamba_dt_rank time_step_rank "
    "rotary_dim",
)
TWO = named(
    2,
    "num_layers decoder_layers encoder_layers num_key_value_heads num_kv_heads swa_num_key_value_heads "
    "num_query_groups num_experts_per_tok moe_topk moe_k num_experts_per_token index_n_heads index_topk_blocks "
    "max_window_layers linear_num_key_heads mamba_expand n_mamba_heads type_vocab_size",
)
ONE = named(
    1,
    "n_shared_experts num_shared_experts n_group topk_group num_expert_group index_local_blocks first_k_dense_replace "
    "mamba_n_groups n_groups mamba_ngroups pretraining_tp",
)
# The windows among them, so that the tests' inputs reach beyond.
EIGHT = named(
    8,
    "head_dim v_head_dim qk_head_dim kv_lora_rank q_lora_rank dim_head swa_head_dim swa_v_head_dim global_head_dim "
    "attention_head_dim kv_channels d_head index_head_dim index_topk linear_key_head_dim linear_value_head_dim "
    "mamba_d_state mamba_n_heads mamba_d_head mamba_chunk_size mamba_num_heads mamba_head_dim ssm_state_size "
    "state_size mamba_headdim chunk_size query_pre_attn_scalar floor_scale log_scaling_n_floor "
    "hidden_size_per_layer_input sliding_window sliding_window_size window_size attention_window_size "
    "attention_chunk_size "
    "keep_window_size",
)
LENGTH = named(
    256,
    "max_position_embeddings n_positions n_ctx max_source_positions max_target_positions context_length "
    "max_seq_len model_max_length",
)
SIZES: dict[str, Any] = {
    **WIDTH,
    **FEED_FORWARD,
    **EXPERT,
    **FOUR,
    **TWO,
    **ONE,
    **EIGHT,
    **LENGTH,
    **dict.fromkeys(("vocab_size", "unpadded_vocab_size", "vocab_size_per_layer_input"), VOCABULARY),
    "local_attention": 16,  # on both sides together
    "num_kv_shared_layers": 0,
    "num_nextn_predict_layers": 0,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "sep_token_id": 1,
    "pad_token_id": 2,
    "initializer_range": 0.2,
    "init_std": 0.2,
    "is_decoder": True,
    "use_sliding_window": True,
}

LATENT: dict[str, Any] = {"num_key_value_heads": 4}
ROTARY: dict[str, Any] = {"rope_theta": 10000.0, "rope_type": "default"}
OWN: dict[str, dict[str, Any]] = {
    "axk1": LATENT | {"head_dim": 4},
    "axk2": LATENT,
    "bailing_hybrid": LATENT,
    "cohere_compass_text": {
        "rope_parameters": dict.fromkeys(("full_attention", "sliding_attention"), ROTARY | {"mrope_section": [2, 1, 1]})
    },
    "cpmant": {"pad_token_id": 0},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 32},
    },
    "deepseek_v2": LATENT | {"head_dim": 4},
    "deepseek_v3": LATENT | {"head_dim": 4},
    "deepseek_v32": LATENT,
    "dots3_note_text": LATENT
    | {"per_layer_config": None, "qk_head_dim": ..., "layer_types": ["indexed_attention", "sliding_attention"] * 2},
    "falcon_h1": {"mamba_d_ssm": 64},
    "git": {
        "vision_config": {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 16,
        }
    },
    "glm4_moe_lite": LATENT,
    "glm_moe_dsa": LATENT,
    "gpt_neo": {"num_layers": 4, "attention_types": [[["global", "local"], 2]]},
    "kimi_linear": LATENT | {"linear_head_dim": 8, "linear_num_heads": 4},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "longcat_flash": LATENT | {"head_dim": 4},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "minicpm3": LATENT | {"head_dim": 4},
    "minimax_m3_vl_text": {"layer_types": ["full_attention", "minimax_m3_sparse"] * 2},
    "qwen4_exp_text": {
        "layer_types": ["linear_attention", "indexed_attention"] * 2,
        "indexer_budget": 8,
        "indexer_compress_ratio": 2,
        "indexer_head_dim": 8,
        "indexer_kv_heads": 1,
        "indexer_n_heads": 2,
        "heads_per_ngram": 2,
        "ngram_vocab_size_base": 50,
        "ple_embed_dim": 8,
        "hc_lowrank": 8,
    },
    "reformer": {"axial_pos_embds": False},
    "roc_bert": {
        "pronunciation_vocab_size": 16,
        "shape_vocab_size": 16,
        "pronunciation_embed_dim": 8,
        "shape_embed_dim": 8,
        "concat_input": False,
    },
    "xmod": {"languages": ["en"], "default_language": "en"},
    "youtu": LATENT | {"head_dim": 4},
    "zaya": {"num_experts_per_tok": 1},
    "zamba": LATENT
    | {
        "num_hidden_layers": 6,
        "attn_layer_period": 3,
        "attn_layer_offset": 2,
        "attention_head_dim": 16,
        "attention_hidden_size": 64,
    },
    "zamba2": LATENT
    | {
        "layer_types": ["mamba", "hybrid"] * 2,
        "hybrid_layer_ids": [1, 3],
        "n_mamba_heads": 8,
        "attention_head_dim": 16,
        "attention_hidden_size": 64,
    },
    # What families can be told to do besides.
    "gemma3_text looking both ways": {"use_bidirectional_attention": True},
    "llama with dynamic rope": {"rope_parameters": ROTARY | {"rope_type": "dynamic", "factor": 2.0}}
    | {"max_position_embeddings": 16},
    "ministral3 with scaled scores": {
        "rope_parameters": ROTARY | {"llama_4_scaling_beta": 0.5, "original_max_position_embeddings": 8}
    },
    "phi3 with longrope": {
        "original_max_position_embeddings": 16,
        "rope_parameters": ROTARY
        | {
            "rope_type": "longrope",
            "short_factor": [1.0] * 4,
            "long_factor": [3.0] * 4,
            "original_max_position_embeddings": 16,
        },
    },
}
NOT_BUILT = {
    "blt": "its byte patcher and three transformers do not shrink by these fields",
    "phi4_multimodal": "its encoders of images and speech do not shrink by these fields",
}
"""Families that are not tried, and why. Encoder-decoders, and models of several media whose text model is a family of
its own, are no causal families."""
FAMILIES: list[str] = list(MODEL_FOR_CAUSAL_LM_MAPPING._model_mapping)
VARIANTS = [name for name in OWN if name not in FAMILIES]


def config_class(name: str) -> type[PreTrainedConfig]:
    """Return the class of a family's configuration."""
    mapping = MODEL_FOR_CAUSAL_LM_MAPPING
    found: type[PreTrainedConfig] = mapping._load_attr_from_module(name, mapping._config_mapping[name])
    return found


def is_causal_family(name: str) -> bool:
    """Whether a family is a decoder of text alone."""
    cls = config_class(name)
    if "text_config" in cls.sub_configs or "decoder" in cls.sub_configs:
        return False
    return name in NOT_BUILT or not cls().is_encoder_decoder


def tiny(name: str) -> PreTrainedModel:
    """Return a network of a family, small, random, and with every window shorter than the tests' inputs."""
    cls = config_class(name.partition(" ")[0])
    defaults = cls().to_dict()
    known = {*defaults, *inspect.signature(cls.__init__).parameters} - set(cls.attribute_map)
    silent = [
        key for key in defaults if isinstance(defaults[key], float) and key.endswith(("dropout", "pdrop", "noise"))
    ]
    settings = {
        **{key: value for key, value in SIZES.items() if key in known},
        **dict.fromkeys(silent, 0.0),
        **OWN.get(name, {}),
    }
    config = cls(**{key: value for key, value in settings.items() if value is not ...})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        network: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        # Norms and biases begin at ones and zeros, which hides mistakes.
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.data.add_(0.1 * torch.randn_like(parameter))
    size = sum(parameter.numel() for parameter in network.parameters())
    assert size < 2e6, f"{name} has {size:,} parameters: see that its fields are among those that shrink"
    return network.eval().requires_grad_(False)
