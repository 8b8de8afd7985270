"""A trial by several processes among which DeepSpeed's ZeRO divides what its configuration says.

Stage 1 divides the optimizer's states, 2 the gradients of trained parameters too, 3 all parameters, those of the frozen
base first of all (Rajbhandari et al., 2020). DeepSpeed's engine takes the steps: it adds the gradients, clips them, and
updates the parts. Everything that touches a parameter runs inside one root module, whose hooks gather what is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import Parameter

from bench.core.errors import Infeasible
from bench.experiment.settings import Training
from bench.forward.batch import Batch
from bench.methods.base import TunedModel
from bench.runs.record import Status
from bench.training.distributed import Shared, SharedStepper, Together, own_device, same_everywhere
from bench.training.encoding import Encoder

if TYPE_CHECKING:
    from torch.optim import Optimizer


class _Root(nn.Module):
    """All parameters of a model with its method: what uses them runs in here, where DeepSpeed has put its hooks."""

    def __init__(self, tuned: TunedModel) -> None:
        super().__init__()
        self.network = tuned.network
        own = set(tuned.network.parameters())
        added = [parameter for parameter in tuned.trainable().values() if parameter not in own]
        for index, parameter in enumerate(added):
            self.register_parameter(f"added_{index}", parameter)

    def forward(self, run: Callable[[], Tensor | None]) -> Tensor | None:
        """Run something that uses parameters."""
        return run()


class ZeroModel(Shared):
    """A model whose parameters DeepSpeed may divide, from `begin` on.

    Args:
        tuned: the method on its model.
        config: DeepSpeed's configuration, complete but for precision and the clipping of gradients.
        device: where this process computes.
    """

    def __init__(self, tuned: TunedModel, config: Mapping[str, Any], device: torch.device) -> None:
        super().__init__(tuned)
        self._root = _Root(tuned)
        self._config, self._device = config, device
        self._engine: Any = None

    def begin(self, dtype: torch.dtype, optimizer: Optimizer | None, max_grad_norm: float | None = None) -> Any:
        """Hand the model over to DeepSpeed; return its engine.

        Args:
            dtype: of all parameters; DeepSpeed does not mix, and its optimizer keeps a float32 copy of what is trained.
            optimizer: of the trained parameters; None trains none.
            max_grad_norm: what gradients are clipped to.
        """
        import deepspeed

        config = {
            **self._config,
            "bf16": {**self._config.get("bf16", {}), "enabled": dtype == torch.bfloat16},
            "gradient_clipping": max_grad_norm or 0.0,
        }
        for parameter in self._root.parameters():
            parameter.data = parameter.data.to(dtype)
        if config["zero_optimization"]["stage"] == 3:
            # Divided here, one after the other: the engine would first move the whole model to the device.
            deepspeed.zero.Init(module=self._root, config_dict_or_path=config, dtype=dtype)
            for buffer in self._root.buffers():
                buffer.data = buffer.data.to(self._device)
        trained = {} if optimizer is None else {"optimizer": optimizer}
        self._engine = deepspeed.initialize(model=self._root, config=config, **trained)[0]
        return self._engine

    def train(self, mode: bool) -> None:
        """Switch dropout on or off."""
        self._root.train(mode)
        self._tuned.train(mode)

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits of this process's part of a batch."""
        self._last = batch
        return cast(Tensor, self._inside(lambda: self._tuned.logits(batch)))

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Surround the evaluation of a split."""
        with ExitStack() as stack:
            self._inside(lambda: stack.enter_context(self._tuned.evaluating()))
            yield

    def save(self, folder: Path) -> None:
        """Gather the trained weights one after the other in the memory of rank 0's host, and write them from there."""
        self._best = {}
        for name, parameter in self._tuned.trainable().items():
            with _whole(parameter):
                if dist.get_rank() == 0:
                    self._best[name] = parameter.detach().cpu().clone()
        if dist.get_rank() == 0:
            with self._gathered():
                self._tuned.save(folder)

    def load(self, folder: Path) -> None:
        """Put back what was saved last, from rank 0."""
        for name, parameter in self._tuned.trainable().items():
            with torch.no_grad(), _whole(parameter, changed=True):
                if dist.get_rank() == 0:
                    parameter.copy_(self._best[name])
            if not hasattr(parameter, "ds_id"):
                same_everywhere([parameter])

    def detach(self) -> None:
        """Let go of DeepSpeed's memory and hooks; the model is not used again."""
        if self._engine is not None:
            self._engine.destroy()

    @contextmanager
    def _gathered(self) -> Iterator[None]:
        """Let the trained parameters hold what was gathered: the network's on the host, the others where they were."""
        trained = self._tuned.trainable()
        parts = {name: parameter.data for name, parameter in trained.items()}
        inside = set(self._tuned.network.parameters())
        for name, parameter in trained.items():
            kept = self._best[name]
            parameter.data = kept if parameter in inside else kept.to(parts[name].device)
        try:
            yield
        finally:
            for name, parameter in trained.items():
                parameter.data = parts[name]

    def _inside(self, run: Callable[[], Any]) -> Any:
        return (self._root if self._engine is None else self._engine)(run)


class ZeroStepper(SharedStepper):
    """Lets DeepSpeed's engine take the steps."""

    def __init__(self, tuned: TunedModel, encoder: Encoder, settings: Training, dtype: torch.dtype, steps: int) -> None:
        if settings.optimizer == "adafactor":
            raise Infeasible("Adafactor needs whole matrices, of which DeepSpeed leaves it flat parts; AdamW does not")
        super().__init__(tuned, encoder, settings, dtype, steps)
        self._engine = cast(ZeroModel, tuned).begin(dtype, self.optimizer, settings.max_grad_norm)
        # The schedule goes on setting the rates of the first: DeepSpeed works on its groups.
        self.optimizer = cast("Optimizer", _Update(self._engine))

    def _before_pass(self, last: bool) -> None:
        self._engine.set_gradient_accumulation_boundary(last)

    def _backward(self, loss: Tensor) -> None:
        # The loss is divided once, by the tokens of the whole batch; DeepSpeed takes the mean over the processes.
        self._engine.backward(loss * dist.get_world_size(), scale_wrt_gas=False)

    def _add_gradients(self) -> None:
        """Do nothing: DeepSpeed has added them on the way."""

    def _clip(self) -> float:
        """Return the norm; DeepSpeed clips when it updates."""
        return math.sqrt(sum(float(gradient.float().norm()) ** 2 for gradient in self._gradients()))

    def _count_gradients(self) -> int:
        return sum(int(gradient.count_nonzero()) for gradient in self._gradients())

    def _gradients(self) -> Iterator[Tensor]:
        """Yield the gradient of each trained parameter, whole, one after the other; every process takes part."""
        from deepspeed.utils import safe_get_full_grad

        for parameter in self.parameters:
            gradient = safe_get_full_grad(parameter)
            if gradient is not None:
                yield gradient


class _Update:
    """DeepSpeed's engine, as the loop updates weights."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.state: dict[Parameter, Any] = {}

    def step(self) -> None:
        """Update the weights; the gradients are gone after it."""
        self._engine.step()

    def zero_grad(self, set_to_none: bool) -> None:
        """Do nothing: the update has done it."""


class Zero(Together):
    """This process as one of several among which DeepSpeed divides a trial.

    Args:
        tell: see `Together`.
        config: DeepSpeed's configuration; None takes what ``accelerate launch`` has put into the environment.
    """

    stepper = ZeroStepper

    def __init__(self, tell: Callable[[Status, str], None], config: Mapping[str, Any] | None = None) -> None:
        super().__init__(tell)
        self._given = config
        self._stage: int = self._plugin().zero_stage
        self.how = f"divided by DeepSpeed (ZeRO-{self._stage})"

    def loads_on(self, device: torch.device) -> torch.device:
        """Return the host if parameters are to be divided: the model need not fit on one device."""
        return torch.device("cpu") if self._stage == 3 else device

    def _spread(self, tuned: TunedModel, base: set[Parameter], encoder: Encoder) -> tuple[Shared, int]:
        import deepspeed

        if type(tuned).after_step is not TunedModel.after_step or type(tuned).penalty is not TunedModel.penalty:
            raise Infeasible("this method reads its gradients at each step, which DeepSpeed has divided by then")
        deepspeed.init_distributed(dist_backend=dist.get_backend(), verbose=False)
        encoder.device = own_device(encoder)
        model = ZeroModel(tuned, self._config(), encoder.device)
        if self._stage < 3:
            return model, sum(p.numel() for p in tuned.network.parameters())
        if not tuned.trainable():
            model.begin(tuned.network.dtype, None)
        return model, 0

    def _plugin(self) -> Any:
        from accelerate import DeepSpeedPlugin

        return DeepSpeedPlugin(hf_ds_config=dict(self._given) if self._given is not None else None)

    def _config(self) -> dict[str, Any]:
        """Return the user's configuration with what the trial decides."""
        config: dict[str, Any] = without_auto(self._plugin().deepspeed_config)
        return config | {
            "train_micro_batch_size_per_gpu": 1,  # DeepSpeed divides by it and by nothing else; batches are ours
            "train_batch_size": self.size,
            "gradient_accumulation_steps": 1,
            "zero_allow_untested_optimizer": True,
            # With states on the host, torch's AdamW steps there unless the file asks for DeepSpeed's own.
            "zero_force_ds_cpu_optimizer": config.get("zero_force_ds_cpu_optimizer", False),
        }


def without_auto(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration of DeepSpeed without what is ``auto``: its default values take their place."""
    return {
        key: without_auto(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if value != "auto"
    }


def _whole(parameter: Parameter, changed: bool = False) -> Any:
    """Gather a divided parameter for a while; what rank 0 has changed reaches all."""
    import deepspeed

    return deepspeed.zero.GatheredParameters([parameter], modifier_rank=0 if changed else None)
