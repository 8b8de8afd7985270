from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics.text.endings import endings, repeats


@pytest.mark.parametrize(
    ("text", "repeating"),
    [
        ("the cat sat. the cat sat. the cat sat.", True),
        ("It begins well and then goes on and goes on and goes on and", True),
        ("goes on and goes on and", False),  # twice is no circle
        ("no no no no no no", True),  # two words, three times
        ("no no no no no", False),
        ("the cat sat the cat sat the cat sat on a mat", False),  # it came out of it
        ("我不知道我不知道我不知道", True),
        ("我不知道, 我不知道", False),
        ("<br><br><br>", True),
        ("1 1 1 1 1 1", True),
        ("1 2 3 4 5 6", False),
        ("", False),
        ("a", False),
    ],
)
def test_an_answer_that_ends_in_circles_is_known(text, repeating):
    assert repeats(text) is repeating


@settings(max_examples=60, deadline=None)
@given(begin=st.text("ab ", max_size=10), phrase=st.lists(st.sampled_from("abc"), min_size=2, max_size=6))
def test_any_phrase_three_times_at_the_end_is_found_wherever_it_is_cut(begin, phrase):
    words = phrase * 4
    assert repeats(f"{begin} {' '.join(words)}")
    assert repeats(f"{begin} {' '.join(words[: len(words) - len(phrase) + 1])}")


def test_the_shares_of_endings_are_of_all_answers():
    found = endings(["a", " \n", "b b b b b b", "c"], ["end", "end", "limit", "stop"])
    assert found == {"end": 0.5, "stop": 0.25, "limit": 0.25, "empty": 0.25, "repeating": 0.25}
    with pytest.raises(ValueError, match="2 texts and 1 endings"):
        endings(["a", "b"], ["end"])
    with pytest.raises(ValueError, match="0 texts"):
        endings([], [])
