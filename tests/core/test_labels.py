"""What a thing is called, in any script, and what stands for that in paths."""

from __future__ import annotations

import pytest
from demo import demo_cell
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.core.entries import Entry
from bench.core.labels import slug
from bench.core.registry import NAME
from bench.reporting.text import one_line


@given(st.text(max_size=70))
def test_a_label_is_kept_as_written_and_its_slug_a_safe_part_of_a_path_or_it_is_refused(label):
    try:
        entry = Entry.model_validate({"lora": {"label": label}})
    except ValidationError:
        return
    assert entry.label == label
    assert NAME.match(slug(label))
    assert " ".join(label.split()) == one_line(label)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("lora", "lora"),
        ("情感分类", "a6eea2e03b"),
        ("Ελλάδα", "e6f7401e81"),
        ("Größe", "groe-aedc3f8098"),
        ("My Data", "my-data-79e53b9f38"),
        ("क्\u200dष", "0b9e4e6e71"),
    ],
)
def test_a_slug_is_the_same_on_every_day_and_machine(label, expected):
    assert slug(label) == expected
    assert Entry.model_validate({"lora": {"label": label}}).label == label


@given(st.lists(st.text("aäAbß 情感α-", min_size=1, max_size=5), unique=True, max_size=30))
def test_different_labels_have_different_slugs(labels):
    assert len({slug(label) for label in labels}) == len(labels)


@pytest.mark.parametrize("label", ["", " ", "a ", "a/b", "a\\b", "a*", "a[b]", "a\nb", "\u200d", "\u202eabc", "\ud800"])
def test_a_label_that_cannot_be_shown_or_told_apart_is_refused(label):
    with pytest.raises(ValidationError, match="no name that can be shown"):
        Entry.model_validate({"lora": {"label": label}})


def test_records_of_any_label_lie_in_folders_of_plain_names():
    of = demo_cell(datasets=[{"trec6": {"label": "情感分类"}}], methods=[{"lora": {"label": "低秩 LoRA"}}])
    assert of.title == "glasslm-0.9m / 情感分类 / 低秩 LoRA"
    assert all(NAME.match(part) for part in of.path.split("/"))
