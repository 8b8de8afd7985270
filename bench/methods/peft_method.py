"""What the methods that peft runs have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bench.core.config import aliases
from bench.methods.base import Method, TunedModel
from bench.methods.target_modules import Targets, check_targets, linear_layers

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel

    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel


class PeftMethod(Method):
    """A method of peft that changes layers in place; subclasses translate their fields into peft's configuration."""

    peft_class: ClassVar[str]
    """Name of peft's configuration class."""

    target_modules: Targets = None
    """Names of the layers to change (the end of their path suffices), a regular expression for whole paths,
    'all-linear' for every linear layer but the head, or null for peft's choice for this family."""

    def candidates(self, network: PreTrainedModel) -> dict[str, nn.Module]:
        """Return the layers that `target_modules` may name."""
        return linear_layers(network)

    def peft_config(self, common: dict[str, Any]) -> PeftConfig:
        """Return peft's configuration.

        Args:
            common: ``task_type`` and ``target_modules``, which all of peft's configurations take, and of an encoder
                ``modules_to_save``, its head.
        """
        import peft

        config: PeftConfig = getattr(peft, self.peft_class)(**self.peft_fields(), **common)
        return config

    def peft_fields(self) -> dict[str, Any]:
        """Return the fields of peft's class: those of ours, by the names that they have there (`Alias`)."""
        names = {name: alias.name for name, alias in aliases(type(self)).items()}
        return {names.get(name, name): value for name, value in self if name != "target_modules"}

    def targets(self) -> list[str] | str | None:
        """Return `target_modules` as peft takes them."""
        return list(self.target_modules) if isinstance(self.target_modules, tuple) else self.target_modules

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Put peft's layers into the model."""
        from bench.methods.tuned.peft_method import PeftAdapter

        return PeftAdapter(base, self.configured(base), seed)

    def configured(self, base: LanguageModel) -> PeftConfig:
        """Return peft's configuration for a model, once its layers have been found.

        Raises:
            Infeasible: the model has no such layers.
        """
        from bench.methods.tuned.peft_method import advice_silenced

        check_targets(base.network, self.target_modules, self.candidates(base.network))
        with advice_silenced():
            common = {"task_type": base.kind.task_type, "target_modules": self.targets()}
            if base.head is not None:
                common["modules_to_save"] = list(base.head.paths)
            return self.peft_config(common)
