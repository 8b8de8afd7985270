"""Words of a text, for scripts with spaces between words and for those without."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_ALONE = re.compile(
    "([\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9d"  # iteration mark, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"  # Han
)
_WORD = re.compile(r"\w+|[^\w\s]")
_LATIN_ENDS, _LATIN_ADDITIONAL = "\u0370", ("\u1e00", "\u1eff")


def apart(text: str) -> str:
    """Put spaces around every Chinese character and kana, so that each is a word; Korean has spaces of its own."""
    return text if text.isascii() else _ALONE.sub(r" \1 ", text)


def words_and_signs(text: str) -> list[str]:
    """Return the words of a text, each Chinese character and each sign of punctuation for itself."""
    return _WORD.findall(apart(text))


def rouge_words(text: str) -> list[str]:
    """Return the words that ROUGE counts, in lower case.

    Of Latin script these are the runs of a-z and 0-9, as in the reference program (which splits at é and ü too). That
    program sees nothing else and scores every other script 0; here letters, digits and marks of other scripts make
    words as well, and a Chinese character or kana is a word of its own.
    """
    text = text.lower()
    return "".join(char if _counts(char) else " " for char in apart(text)).split()


@cache
def _counts(char: str) -> bool:
    if char < _LATIN_ENDS or _LATIN_ADDITIONAL[0] <= char <= _LATIN_ADDITIONAL[1]:
        return char.isascii() and char.isalnum()
    return unicodedata.category(char)[0] in "LMN"
