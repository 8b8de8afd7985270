"""Numbers and foreign text as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.reporting import text


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (text.count(8192), "8,192"),
        (text.count(None), "-"),
        (text.short_count(134_515_008), "135M"),
        (text.short_count(1_711_376_384), "1.7B"),
        (text.short_count(999_990), "1M"),
        (text.short_count(910_000), "910K"),
        (text.short_count(12), "12"),
        (text.file_size(0), "0 B"),
        (text.file_size(33_900), "33.1 KiB"),
        (text.file_size(2**20 - 1), "1.0 MiB"),
        (text.file_size(5 * 2**40), "5.0 TiB"),
        (text.duration(4.21), "4.2s"),
        (text.duration(59.97), "1m 00s"),
        (text.duration(65), "1m 05s"),
        (text.duration(3599.6), "1h 00m"),
        (text.duration(7380), "2h 03m"),
        (text.percent(0.0014648902430985358), "0.00146"),
        (text.percent(99.9999), "99.9"),
        (text.percent(100.0), "100"),
        (text.mean_sd(0.9123, 0.0041), "0.912 ± 0.004"),
        (text.mean_sd(0.9123, None), "0.912"),
        (text.mean_sd(None, None), "-"),
        (text.score(0.0), "0.000"),
        (text.quantity(119_896.0), "119,896"),
        (text.quantity(3.14159), "3.14"),
        (text.signed(0.0754), "+0.075"),
        (text.p_value(0.0004), "< 0.001"),
        (text.p_value(0.0312), "0.031"),
        (text.number_of(1, "seed"), "1 seed"),
        (text.number_of(2, "seed"), "2 seeds"),
    ],
)
def test_numbers_are_written_for_people(shown, expected):
    assert shown == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a|b", r"a\|b"),
        ("`rm`", r"\`rm\`"),
        ("<script>&", "&lt;script&gt;&amp;"),
        ("two\nlines\r\nand\ttabs\x1b[31m", r"two lines and tabs \[31m"),
        ("[x](javascript:y)", r"\[x\](javascript:y)"),
        ("**bold** _it_ prompt_tuning", r"\*\*bold\*\* \_it\_ prompt_tuning"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
        ("0.912 ± 0.004", "0.912 ± 0.004"),
        ("-", "-"),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_foreign_text_stays_text_in_markdown(raw, expected):
    assert text.markdown(raw) == expected


@given(st.text())
def test_escaped_text_is_one_line_without_a_bare_pipe_or_tag(raw):
    shown = text.markdown(raw, width=10_000)
    assert len(shown.splitlines()) <= 1
    assert "<" not in shown
    assert "|" not in shown.replace("\\\\", "").replace("\\|", "")


def test_long_text_is_cut():
    assert text.one_line("x" * 500, 100) == "x" * 97 + "..."
