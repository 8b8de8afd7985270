"""Rotten Tomatoes: the sentiment of one sentence about a film."""

from __future__ import annotations

from typing import ClassVar

from bench.datasets.movie_reviews import MovieReviews


class RottenTomatoes(MovieReviews):
    """Rotten Tomatoes: is a one-sentence film review negative or positive (Pang and Lee, 2005)?

    These are the 8,530 sentences of the usual train split; test and validation are drawn from them.
    """

    title: ClassVar[str] = "Rotten Tomatoes movie reviews"
    citation: ClassVar[str] = (
        "@inproceedings{pang-lee-2005-seeing, title={Seeing Stars: Exploiting Class Relationships for "
        "Sentiment Categorization with Respect to Rating Scales}, author={Pang, Bo and Lee, Lillian}, "
        "booktitle={ACL 2005}, year={2005}}"
    )
    homepage: ClassVar[str] = "https://www.cs.cornell.edu/people/pabo/movie-review-data/"
    part: ClassVar[str] = "rotten_tomatoes"

    validation_size: int | None = 500
    test_size: int | None = 1000
