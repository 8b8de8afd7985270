"""Methods: the ways to adapt a frozen language model; ``bench list methods`` lists them.

What a method of one's own needs can be imported from here: `Method`, `TunedModel`, what a search space is made of
(`Choice`, `Float`, `Int`), and the registry, `methods`.
"""

from bench.core.distributions import Choice, Float, Int
from bench.core.registry import Registry
from bench.forward.batch import Batch
from bench.methods.base import Method, TunedModel

methods: Registry[Method] = Registry(
    "method",
    base="bench.methods.base:Method",
    builtin={
        "prompt_tuning": "bench.methods.prompt_tuning:PromptTuning",
        "p_tuning": "bench.methods.p_tuning:PTuning",
        "prefix_tuning": "bench.methods.prefix_tuning:PrefixTuning",
        "lora": "bench.methods.lora:Lora",
        "ia3": "bench.methods.ia3:IA3",
        "adalora": "bench.methods.adalora:AdaLora",
        "vera": "bench.methods.vera:Vera",
        "bitfit": "bench.methods.bitfit:BitFit",
        "layernorm": "bench.methods.layernorm:LayerNormTuning",
        "peft": "bench.methods.peft_generic:Peft",
        "full_fine_tuning": "bench.methods.full_fine_tuning:FullFineTuning",
        "hard_prompt": "bench.methods.hard_prompt:HardPrompt",
        "majority": "bench.methods.majority:Majority",
        "tfidf_logistic": "bench.methods.tfidf_logistic:TfidfLogistic",
        "first_sentence": "bench.methods.first_sentence:FirstSentence",
        "nearest_answer": "bench.methods.nearest_answer:NearestAnswer",
    },
)

__all__ = ["Batch", "Choice", "Float", "Int", "Method", "TunedModel", "methods"]
