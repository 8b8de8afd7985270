"""Base models: where they come from. ``bench list models`` lists them."""

from bench.core.registry import Registry
from bench.models.base import Model

models: Registry[Model] = Registry(
    "model",
    base="bench.models.base:Model",
    builtin={
        "local": "bench.models.local:Local",
        "hub": "bench.models.hub:Hub",
        "glasslm-0.9m": "bench.models.glasslm:GlassLM",
        "smollm2-135m": "bench.models.gguf:SmolLM2",
        "gemma3-270m": "bench.models.gguf:Gemma3",
        "qwen2.5-coder-0.5b": "bench.models.gguf:QwenCoder",
        "qwen2.5-coder-1.5b": "bench.models.gguf:QwenCoder15",
        "bert-tiny-bleurt": "bench.models.encoders:BertTiny",
        "minilm-l3": "bench.models.encoders:MiniLML3",
        "minilm-l6": "bench.models.encoders:MiniLML6",
        "mpnet-base": "bench.models.encoders:Mpnet",
    },
)

__all__ = ["Model", "models"]
