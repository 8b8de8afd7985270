"""Methods: the ways to adapt a frozen language model. One file a method; ``bench list methods`` lists them."""

from bench.methods.base import Batch, Method, TunedModel
from bench.registry import Registry

methods: Registry[Method] = Registry(
    "method",
    base="bench.methods.base:Method",
    builtin={
        "prompt_tuning": "bench.methods.prompt_tuning:PromptTuning",
        "lora": "bench.methods.lora:Lora",
        "full_fine_tuning": "bench.methods.full_fine_tuning:FullFineTuning",
        "hard_prompt": "bench.methods.hard_prompt:HardPrompt",
        "majority": "bench.methods.majority:Majority",
    },
)

__all__ = ["Batch", "Method", "TunedModel", "methods"]
