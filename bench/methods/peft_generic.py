"""Any other method of the installed peft."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, Field, model_validator

from bench.core.distributions import Float, SearchSpace
from bench.core.errors import Infeasible, did_you_mean, one_line
from bench.methods.peft_method import PeftMethod

if TYPE_CHECKING:
    from peft import PeftConfig

OWN_NAMES = {
    "PROMPT_TUNING": "prompt_tuning",
    "P_TUNING": "p_tuning",
    "PREFIX_TUNING": "prefix_tuning",
    "ADALORA": "adalora",
}
"""Methods of peft that need more than layers changed in place, and have it here under these names."""


class Peft(PeftMethod):
    """Any method of the installed peft that changes layers in place: its configuration class and that class's fields.

    As in ``peft: {config_class: LoHaConfig, r: 8, alpha: 16}``. What the fields mean is said by peft. A study varies
    them by their names, as any option: ``search: {r: [4, 8, 16], alpha: {low: 4, high: 32, log: true}}``.
    """

    model_config = ConfigDict(extra="allow")

    title = "Any method of peft"
    citation = "Mangrulkar et al.: PEFT. 2022. https://github.com/huggingface/peft"
    when_to_use = "For a method of PEFT that has no page here, such as LoHa, LoKr, OFT or BOFT."
    traps = (
        "Its learning rate is that of training, 1e-3, which is not known to suit the method. Search it, and the "
        "fields that matter.",
        "Names and default values are those of the installed PEFT, and may change with it; a record keeps its version.",
        "Methods that do more than change layers in place are refused: Poly, X-LoRA, CPT, multitask prompt tuning.",
    )

    config_class: str = Field(min_length=1)
    """Name of the configuration class in peft, such as LoHaConfig."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        known = self._fields()
        for name in self.model_extra or {}:
            if name not in known:
                raise ValueError(f"{self.config_class} has no field {name!r}{did_you_mean(name, known)}")
        try:
            self.peft_config({"task_type": "CAUSAL_LM", "target_modules": self.targets()})
        except Exception as error:  # each of peft's classes checks its fields as it likes
            raise ValueError(f"{self.config_class}: {one_line(error)}") from None
        return self

    def options(self) -> dict[str, Any]:
        """Return the fields of peft's class too, with the values that it gives them."""
        return {**self._fields(), **self.model_dump()}

    def search_space(self) -> SearchSpace:
        """Learning rate; ``search: {r: [4, 8, 16]}`` adds a field of peft's class."""
        return {"learning_rate": Float(low=1e-4, high=1e-2, log=True)}

    def peft_config(self, common: dict[str, Any]) -> PeftConfig:
        """Return peft's configuration, with the fields that were given."""
        kind = self._class()
        fields = {field.name for field in dataclasses.fields(kind)}
        if common.get("target_modules") is not None and "target_modules" not in fields:
            raise Infeasible(f"{self.config_class} has no target_modules")
        config: PeftConfig = kind(**{k: v for k, v in common.items() if k in fields}, **(self.model_extra or {}))
        return config

    def _fields(self) -> dict[str, Any]:
        """Return the fields of peft's class that can be given, with their default values."""
        own = {"task_type", "inference_mode", "base_model_name_or_path", "peft_type", "auto_mapping", "revision"}
        known = [f for f in dataclasses.fields(self._class()) if f.init and f.name not in own]
        made = {f.name: f.default_factory() for f in known if f.default_factory is not dataclasses.MISSING}
        return {f.name: made.get(f.name, f.default) for f in known}

    def _class(self) -> type[PeftConfig]:
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
        from peft.tuners.tuners_utils import BaseTuner

        classes = {kind.__name__: (name, kind) for name, kind in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
        if self.config_class not in classes:
            raise ValueError(
                f"the installed peft has no {self.config_class!r}{did_you_mean(self.config_class, classes)}"
            )
        name, kind = classes[self.config_class]
        if own := OWN_NAMES.get(name.value):
            raise ValueError(f"{self.config_class} is a method of its own here: {own}")
        tuner = PEFT_TYPE_TO_TUNER_MAPPING.get(name)
        if not (isinstance(tuner, type) and issubclass(tuner, BaseTuner) and tuner.forward is BaseTuner.forward):
            raise ValueError(f"{self.config_class} does more than change layers in place; it needs a method of its own")
        found: type[PeftConfig] = kind
        return found
