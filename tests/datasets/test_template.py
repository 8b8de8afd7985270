from hypothesis import given
from hypothesis import strategies as st

from bench.datasets.template import columns, render


def test_a_column_is_replaced_by_its_text():
    assert render("Tweet: {Tweet text}\nLabel:", {"Tweet text": "hello"}) == "Tweet: hello\nLabel:"


def test_double_braces_stand_for_single_ones():
    assert render('{{"a": {a}}}', {"a": "1"}) == '{"a": 1}'
    assert columns('{{"a": {a}}}') == ("a",)


def test_columns_are_named_once_and_in_order():
    assert columns("{b} {a} {b}") == ("b", "a")


def test_attributes_and_conversions_are_columns_that_do_not_exist():
    assert columns("{text.__class__} {text!r} {text:>9}") == ("text.__class__", "text!r", "text:>9")


@given(st.text())
def test_text_that_is_put_in_is_never_read_again(text):
    assert render("<{text}>", {"text": text}) == f"<{text}>"
