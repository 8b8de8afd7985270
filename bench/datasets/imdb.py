"""IMDB: the sentiment of a whole film review."""

from __future__ import annotations

from typing import ClassVar

from bench.datasets.movie_reviews import MovieReviews


class Imdb(MovieReviews):
    """IMDB: is a film review of some two hundred words negative or positive (Maas et al., 2011)?

    These are the 25,000 reviews of the usual train split; test and validation are drawn from them.
    """

    title: ClassVar[str] = "IMDB large movie reviews"
    citation: ClassVar[str] = (
        "@inproceedings{maas-2011-learning, title={Learning Word Vectors for Sentiment Analysis}, "
        "author={Maas, Andrew L. and Daly, Raymond E. and Pham, Peter T. and Huang, Dan and Ng, Andrew Y. "
        "and Potts, Christopher}, booktitle={ACL 2011}, year={2011}}"
    )
    homepage: ClassVar[str] = "https://ai.stanford.edu/~amaas/data/sentiment/"
    part: ClassVar[str] = "imdb"

    validation_size: int | None = 500
    test_size: int | None = 2000
