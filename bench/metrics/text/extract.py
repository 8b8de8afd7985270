"""What part of a generated text is scored."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator

from bench.core.config import Config


class After(Config):
    """What stands behind a pattern."""

    after: str
    """A regular expression (Python's `re`). The answer begins behind its first match; a text without one holds no
    answer and is scored as an empty one."""
    first_line: bool = False
    """Whether the answer ends with its first line that is not blank."""

    @field_validator("after")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"{pattern!r} is no regular expression ({error}); put \\ before a sign that means itself"
            ) from None
        return pattern


Extract = Literal["whole", "first_line"] | After


def extracted(text: str, extract: Extract) -> str:
    """Return the part of a text that is scored."""
    if extract == "whole":
        return text
    if isinstance(extract, After):
        found = re.search(extract.after, text)
        text = text[found.end() :] if found else ""
        if not extract.first_line:
            return text.strip()
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
