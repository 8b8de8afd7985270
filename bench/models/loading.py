"""From a folder of weights to a frozen language model with a usable tokenizer."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import safe_open

from bench.core.errors import BadInput, Infeasible, named_line
from bench.forward.counting import weights_in
from bench.models.checkpoint import check_folder
from bench.models.conversion import quiet
from bench.models.kinds import POSITIONS, RELATIVE, Kind
from bench.models.language_model import LanguageModel

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

MAPPED = "model.safetensors"


def load_language_model(
    folder: Path,
    revision: str,
    device: torch.device,
    dtype: torch.dtype,
    trust_remote_code: bool = False,
    bits: Literal[4, 8] | None = None,
) -> LanguageModel:
    """Load what a folder holds: frozen, in eval mode, on ``device``; ``revision`` is what pins its weights.

    With ``bits`` bitsandbytes keeps the linear layers' weights in so many; they are computed with in ``dtype``.

    What kind of network it is is read from its configuration. Weights are read from safetensors,
    or from ``.bin`` by `torch.load` with ``weights_only=True``, which `transformers` always uses: no file is unpickled
    into code.

    Raises:
        BadInput: the folder holds no language model, or not all of one.
        Infeasible: an encoder in so many bits.
    """
    from transformers import AutoConfig, AutoTokenizer

    from bench.models.heads import find_head, untrained_poolers

    check_folder(folder, "model")
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": True}
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, **options)
            kind = _kind(config)
            if bits and not kind.generates:
                raise Infeasible(f"load_in_{bits}bit: an encoder is not quantised")
            quantized = _quantized(bits, device, dtype) if bits else {}
            network, info = kind.auto_class.from_pretrained(
                folder, config=config, dtype=dtype, output_loading_info=True, **options, **quantized
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    except (BadInput, Infeasible):
        raise
    except Exception as error:  # whatever a strange file makes transformers raise: it is the file that is wrong
        if not trust_remote_code and "trust_remote_code" in str(error):
            raise BadInput(
                f"model: {folder} brings code of its own; if you trust it, say 'trust_remote_code: true'"
            ) from error
        raise BadInput(f"model: {folder} does not load: {named_line(error)}") from error
    head = None
    if kind is Kind.ENCODER:
        head = find_head(network, [*info["missing_keys"], *untrained_poolers(network.state_dict())])
    _refuse_gaps(info, folder, network, kind)
    network.requires_grad_(False)
    network.eval()
    if not bits:  # else it is there already
        network.to(device)
    if device.type == "cpu" and not bits:
        map_weights(network, folder, head.fresh if head is not None else ())
    tokenizer.padding_side = "right"
    notes = give_pad_token(tokenizer, network.get_input_embeddings().num_embeddings)
    if bits:
        notes["quantized"] = f"linear layers in {bits} bits by bitsandbytes {version('bitsandbytes')}"
    if head is not None:
        trained = ", ".join(head.paths)
        notes["answers"] = f"by a classification head that is trained with the method ({trained}); nothing is generated"
    generation = getattr(network, "generation_config", None)  # an encoder has none
    if generation is not None and generation.pad_token_id is None:
        generation.pad_token_id = tokenizer.pad_token_id
    return LanguageModel(
        network=network,
        tokenizer=tokenizer,
        kind=kind,
        parameters=count_parameters(network),
        context_length=context_length(config, network),
        revision=revision,
        folder=folder,
        notes=notes,
        head=head,
    )


def map_weights(network: PreTrainedModel, folder: Path, without: Collection[str] = ()) -> bool:
    """Replace a network's parameters by the same ones mapped from their file; False if the file does not hold them all.

    All workers on a machine then share one copy in the page cache. A mapping is private: whoever writes to a
    parameter gets pages of his own, and the file stays as it is.

    Args:
        network: on the CPU, loaded from ``folder``.
        folder: where its `MAPPED` are.
        without: parameters that the file need not hold; they stay as they are.
    """
    file = folder / MAPPED
    if not file.is_file():
        return False
    with torch.no_grad(), safe_open(file, "pt") as stored:
        names = set(stored.keys())
        body = f"{network.base_model_prefix}."
        mapped = {}
        for name, parameter in network.named_parameters():
            if name in without:
                continue
            # A file that was saved without a head names its parameters from the body on.
            there = name if name in names else name.removeprefix(body)
            if there not in names:
                return False
            tensor = stored.get_tensor(there)
            if tensor.dtype != parameter.dtype or not torch.equal(tensor, parameter):
                return False
            mapped[name] = tensor
    for name, parameter in network.named_parameters():
        if name in mapped:
            parameter.data = mapped[name]
    return True


def _quantized(bits: Literal[4, 8], device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Return what `from_pretrained` quantises by, on the way to the device."""
    from transformers import BitsAndBytesConfig

    four: dict[str, Any] = {
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": dtype,
    }
    config = BitsAndBytesConfig(load_in_4bit=True, **four) if bits == 4 else BitsAndBytesConfig(load_in_8bit=True)
    return {"quantization_config": config, "device_map": {"": device}}


def check_weights(folder: Path) -> None:
    """Read the weights of a folder and compare them with its network, which is built without memory for them.

    Raises:
        BadInput: they cannot be read, or do not fill the network.
    """
    from transformers import AutoConfig

    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            kind = Kind.of(config)
            network, info = kind.auto_class.from_pretrained(
                folder, config=config, device_map="meta", output_loading_info=True, local_files_only=True
            )
    except Exception as error:  # see load_language_model
        if "trust_remote_code" in str(error):
            return  # loading says what is to be done about it
        raise BadInput(f"model: {folder} does not load: {named_line(error)}") from error
    _refuse_gaps(info, folder, network, kind)


def count_parameters(network: PreTrainedModel) -> int:
    """Count all parameters; tied weights are one parameter, and so counted once."""
    return sum(map(weights_in, network.parameters()))


def context_length(config: PreTrainedConfig, network: PreTrainedModel | None = None) -> int | None:
    """Return how many positions the model can take, or None where positions are relative (T5, Bloom)."""
    for name, module in network.named_modules() if network is not None else ():
        if name.endswith("position_embeddings") and isinstance(rows := getattr(module, "num_embeddings", None), int):
            # An encoder's table. RoBERTa and its kin count positions from behind the padding token's row.
            padding = getattr(module, "padding_idx", None)
            return rows if padding is None else rows - int(padding) - 1
    text = config.get_text_config()
    if hasattr(text, RELATIVE):
        return None
    found = (getattr(text, name, None) for name in POSITIONS)
    return next((length for length in found if isinstance(length, int) and length > 0), None)


def give_pad_token(tokenizer: PreTrainedTokenizerBase, rows: int) -> dict[str, str | int]:
    """Make sure of a pad token that has a row of the embedding, and return a note if there was none.

    Padded positions are masked, so any token of the vocabulary serves: the end of text, else the unknown token, else
    the first. None is ever added, for a new one would need a new row, and the model would not be the same.
    """
    given = tokenizer.pad_token_id
    if given is not None and given < rows:
        return {}
    usable = (token for token in (tokenizer.eos_token, tokenizer.unk_token) if token is not None)
    tokenizer.pad_token = next(usable, None) or tokenizer.convert_ids_to_tokens(0)
    reason = "the tokenizer has none" if given is None else f"the tokenizer's has id {given}, the embedding {rows} rows"
    return {"pad_token": f"{reason}; {tokenizer.pad_token!r} is used"}


def _kind(config: PreTrainedConfig) -> Kind:
    """Return the kind of a network; a decoder with a head for something else would load, and answer at random."""
    kind = Kind.of(config)
    for name in config.architectures or () if kind.generates else ():
        if name.endswith(("ForMaskedLM", "ForPreTraining", "Classification", "ForQuestionAnswering")):
            raise BadInput(f"model: {name} is no generative language model; a decoder or an encoder-decoder is needed")
    return kind


def _refuse_gaps(info: dict[str, Any], folder: Path, network: PreTrainedModel, kind: Kind) -> None:
    """Weights that are missing or of another shape are drawn at random by `transformers`: a model nobody asked for."""
    from bench.models.heads import may_be_missing

    gaps = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if not kind.generates:
        gaps = [name for name in gaps if not may_be_missing(network, name)]
    if gaps:
        raise BadInput(
            f"model: the weights in {folder} do not fill the network: {gaps[0]} and {len(gaps) - 1} more are missing "
            "or of another shape"
        )
