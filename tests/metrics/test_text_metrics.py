"""Metrics over written answers, held against the programs that their papers are known by."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from bench.core.errors import BadInput
from bench.metrics import TextMetric, metrics
from bench.metrics.base import Answered
from bench.metrics.text.words import rouge_words

ROUGE = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
ALL = [*ROUGE, "bleu", "chrf", "exact_match", "f1_squad", "exact_number"]


def build(name, **options) -> TextMetric:
    return metrics.build(name, options, name)


def of_one(name, answer, *references, **options):
    """Score one answer, as all there is."""
    return build(name, **options).compute([answer], [references])


def items(metric, answers, references):
    """Return the score of each answer; none of what is no mean of them."""
    return metric.of(Answered(texts=answers, answers=references))[1] or []


english = st.text("abcdefgh AB .,'-!\n0123é\u2019_", max_size=60)
anything = st.text(max_size=40)
answered = st.lists(st.tuples(english, st.lists(english, min_size=1, max_size=3)), min_size=1, max_size=5)
fast = settings(max_examples=40, deadline=None)


@pytest.mark.parametrize("name", ROUGE)
@pytest.mark.parametrize("stemmed", [False, True])
@fast
@given(pairs=answered)
def test_rouge_of_latin_script_is_that_of_the_reference_program(name, stemmed, pairs):
    answers, references = zip(*pairs, strict=True)
    scorer = RougeScorer([ROUGE[name]], use_stemmer=stemmed)
    peer = [scorer.score_multi(list(given), answer)[ROUGE[name]].fmeasure for answer, given in pairs]
    assert items(build(name, use_stemmer=stemmed), answers, references) == pytest.approx(peer, abs=1e-12)


def test_rouge_of_a_known_pair_is_the_number_worked_out_by_hand():
    # 5 of 7 words in common, the longest common sequence has 5 (of Lin's example police killed the gunman: 3 of 4).
    assert of_one("rouge_l", "police kill the gunman", "police killed the gunman") == pytest.approx(0.75)
    assert of_one("rouge_l", "the gunman kill police", "police killed the gunman") == pytest.approx(0.5)
    assert of_one("rouge_2", "police kill the gunman", "police killed the gunman") == pytest.approx(1 / 3)
    assert of_one("rouge_l", "police kill the gunman", "police killed the gunman", use_stemmer=True) == 1


def test_rouge_sees_scripts_that_the_reference_program_drops():
    assert " ".join(rouge_words("Das 世界 ist カナ, привет мир 42")) == "das 世 界 ist カ ナ привет мир 42"
    assert RougeScorer(["rougeL"]).score("今天天气好", "今天天气好")["rougeL"].fmeasure == 0
    assert of_one("rouge_l", "今天天气很好。", "今天天气好") == pytest.approx(2 * 5 / 11)
    assert of_one("rouge_1", "مرحبا بالعالم", "مرحبا") == pytest.approx(2 / 3)


@pytest.mark.parametrize(("tokenize", "peer"), [("13a", "13a"), ("auto", "13a"), ("char", "char"), ("intl", "intl")])
@fast
@given(pairs=st.lists(st.tuples(english, english), min_size=1, max_size=5))
def test_bleu_is_that_of_sacrebleu(tokenize, peer, pairs):
    answers, references = map(list, zip(*pairs, strict=True))
    assert build("bleu", tokenize=tokenize).compute(answers, [[one] for one in references]) == pytest.approx(
        sacrebleu.corpus_bleu(answers, [references], tokenize=peer).score
    )


@fast
@given(pairs=answered)
def test_chrf_is_that_of_sacrebleu_with_as_many_references_as_each_answer_has(pairs):
    answers, references = map(list, zip(*pairs, strict=True))
    streams = [[given[n] if n < len(given) else None for given in references] for n in range(3)]
    streams = [stream for stream in streams if any(one is not None for one in stream)]
    assert build("chrf").compute(answers, references) == pytest.approx(CHRF().corpus_score(answers, streams).score)


def test_bleu_of_all_is_no_mean_and_several_references_help():
    answers = ["the cat sat on the mat", "a dog barked at me today"]
    references = [["the cat sat on the mat", "a cat sat"], ["the dog was barking at me"]]
    metric = build("bleu")
    both = metric.compute(answers, references)
    assert both == pytest.approx(
        BLEU().corpus_score(answers, [[references[0][0], references[1][0]], ["a cat sat", None]]).score
    )
    each = [metric.compute([answer], [given]) for answer, given in zip(answers, references, strict=True)]
    assert both != pytest.approx(sum(each) / 2)
    assert metric.of(Answered(texts=answers, answers=references)) == (both, None)
    assert of_one("bleu", answers[0], "a cat sat", references[0][0]) == 100 > of_one("bleu", answers[0], "a cat sat")


def test_chinese_is_split_by_character_for_bleu():
    answer, reference = "今天天气很好", "今天天气非常好"
    peer = BLEU(tokenize="zh").corpus_score([answer], [[reference]]).score
    assert of_one("bleu", answer, reference) == of_one("bleu", answer, reference, tokenize="zh") == pytest.approx(peer)
    assert of_one("bleu", answer, reference, tokenize="13a") < peer
    for text, tokenizer in (
        ("今天 is a good day, my friend", "13a"),
        ("これは日本語です", "13a"),
        ("我用 Python 写代码", "13a"),
        ("我喜欢用 AI 写代码", "zh"),
        ("!?", "13a"),
    ):
        assert f"tok:{tokenizer}|" in build("bleu").signature([[text]]), text


def test_a_signature_says_what_sacrebleu_would_say():
    references = [["a b", "c"], ["d"]]
    bleu = BLEU()
    bleu.corpus_score(["a", "b"], [["a b", "d"], ["c", None]])
    assert build("bleu").signature(references) == str(bleu.get_signature())
    assert build("chrf", word_order=2, lowercase=True).signature([["a"], ["b"]]) == (
        f"nrefs:1|case:lc|eff:yes|nc:6|nw:2|space:no|version:{sacrebleu.__version__}"
    )
    assert build("rouge_l").signature(references) is None


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        ("The Eiffel-Tower!", ["eiffeltower"], 1, 1),  # case, punctuation and articles go
        ("a  an\tthe  cat", ["cat"], 1, 1),
        ("theatre", ["atre"], 0, 0),  # an article is a word
        ("in the year 1912", ["1912", "in 1912", "April 1912"], 0, 0.8),  # the best of several
        ("cat cat dog", ["cat dog dog"], 0, 2 / 3),  # words count as often as both have them
        ("the", ["a"], 1, 1),  # nothing left on either side: equal, as in SQuAD 2.0
        ("", ["cat"], 0, 0),
        ("«Кот»", ["кот"], 0, 0),  # only ASCII punctuation goes
    ],
)
def test_exact_match_and_f1_follow_the_published_definition_of_squad(answer, references, exact, f1):
    assert of_one("exact_match", answer, *references) == exact
    assert of_one("f1_squad", answer, *references) == pytest.approx(f1)


def test_exact_match_can_do_without_normalisation_and_f1_can_count_chinese_characters():
    assert of_one("exact_match", " Cat ", "cat", normalise=False) == 0
    assert of_one("exact_match", " cat\n", "cat", normalise=False) == 1
    assert of_one("f1_squad", "北京市", "北京") == 0
    assert of_one("f1_squad", "北京市", "北京", split_cjk=True) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("3 + 4 = 7, so the answer is 7.", "7", 1),
        ("#### 1,234", "1234", 1),
        ("It costs $3.50.", "3.5", 1),
        ("7 apples, not 8", "7", 0),
        ("from 10-5", "5", 1),
        ("it is -5", "5", 0),
        ("it is \u22125 degrees", "-5", 1),
        ("-$5", "-5", 1),
        ("3,5", "5", 1),
        ("1,2345", "2345", 1),
        ("0.1", "0.10000000000000001", 0),
        (".5", "0.50", 1),
        ("seven", "7", 0),
        ("答案是４２。", "42", 1),
        ("42", "9 (apples)", 0),
        ("9", "9 (apples)", 1),
    ],
)
def test_the_last_number_counts(answer, reference, score):
    assert of_one("exact_number", answer, reference) == score


def test_a_reference_without_a_number_is_refused_before_any_compute():
    build("exact_number").check([["7", "seven (7)"]])
    with pytest.raises(BadInput, match=r"needs a number in every reference, found 'yes'; take exact_match"):
        build("exact_number").check([["7"], ["yes"]])


def test_one_generation_is_scored_by_several_extractors():
    text = "\n  Paris \nBecause the answer is: Lyon.\nmore"
    assert of_one("exact_match", text, "paris") == 0
    assert of_one("exact_match", text, "paris", extract="first_line") == 1
    assert of_one("exact_match", text, "lyon more", extract={"after": r"answer\s+is:"}) == 1
    assert of_one("exact_match", text, "lyon", extract={"after": r"answer\s+is:", "first_line": True}) == 1
    assert of_one("exact_match", text, "paris", extract={"after": "####"}) == 0
    assert of_one("exact_number", "1 #### 2\n\nQuestion: 3", "2", extract={"after": "####", "first_line": True}) == 1
    # References are taken as they are.
    assert of_one("exact_match", "a\nb", "a\nb", extract="first_line") == 0


@pytest.mark.parametrize(
    ("extract", "message"),
    [
        ({"after": "("}, r"x\.extract\.After\.after: '\(' is no regular expression .* put \\ before a sign"),
        ("last_line", r"x\.extract.*'whole' or 'first_line', found 'last_line'"),
        ({"behind": "x"}, r"unknown key"),
    ],
)
def test_an_extractor_that_cannot_be_is_refused(extract, message):
    with pytest.raises(BadInput, match=message):
        metrics.build("chrf", {"extract": extract}, "x")


@pytest.mark.parametrize("name", ALL)
@fast
@given(pairs=st.lists(st.tuples(anything, st.lists(anything, min_size=1, max_size=2)), min_size=1, max_size=3))
def test_scores_stay_within_their_bounds(name, pairs):
    answers, references = zip(*pairs, strict=True)
    metric = build(name)
    low, high = metric.bounds
    each = items(metric, answers, references)
    assert len(each) == (0 if name in ("bleu", "chrf") else len(pairs))
    assert all(low <= score <= high for score in (*each, metric.compute(answers, references)))


@pytest.mark.parametrize("name", ALL)
@fast
@given(text=anything, other=anything)
def test_a_right_answer_scores_the_most(name, text, other):
    text += " four words at 42"
    metric = build(name)
    assert metric.compute([text], [[other, text]]) == metric.bounds[1]
    assert metric.compute([text, text], [[text], [text]]) == metric.bounds[1]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "text", ["", " ", "\0", "a\0b 1", "שלום עולם 1", "<script>1</script>", "\ud800", "\u202e1", "👩‍👩‍👧 1"]
)
def test_odd_texts_are_scored_like_others(name, text):
    metric = build(name)
    low, high = metric.bounds
    for answer, reference in ((text, text), (text, "cat 1"), ("cat 1", text)):
        assert low <= metric.compute([answer], [[reference]]) <= high
    assert of_one(name, "", "cat 1") == low


@pytest.mark.parametrize("name", [name for name in ALL if name != "rouge_l"])
@pytest.mark.parametrize("text", ["".join(chr(0x4E00 + n * 7 % 3000) for n in range(33_000)), "1,234," * 16_000])
def test_answers_of_a_hundred_kilobytes_are_scored_within_seconds(name, text):
    metric = build(name)
    metric.compute(["a"], [["a"]])  # imports
    begin = time.process_time()
    metric.compute([text], [[text[::-1]]])
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("name", ALL)
def test_answers_without_references_are_refused(name):
    for answers, references in (([], []), (["a"], []), (["a"], [[]]), (["a"], ["a"])):
        with pytest.raises(ValueError, match=r"references"):
            build(name).compute(answers, references)


@pytest.mark.parametrize("name", ALL)
def test_a_metric_says_what_it_is_and_cannot_be_turned_round(name):
    metric = build(name)
    assert metric.title and metric.citation and metric.bounds and metric.__doc__
    assert metric.scored == "text" and metric.greater_is_better
    assert all(field.description for field in type(metric).model_fields.values())
    with pytest.raises(BadInput, match=r"x\.greater_is_better: input should be True"):
        metrics.build(name, {"greater_is_better": False}, "x")


def test_the_module_of_a_metric_takes_batches_and_can_be_combined():
    import evaluate

    both = evaluate.combine([build(name).module() for name in ("f1_squad", "chrf")])
    both.add_batch(predictions=["a cat"], references=[["cat", "dog"]])
    both.add_batch(predictions=["猫"], references=[["狗"]])
    expected = build("chrf").compute(["a cat", "猫"], [["cat", "dog"], ["狗"]])
    assert both.compute() == {"f1": 0.5, "chrf": pytest.approx(expected)}


def test_a_library_that_is_missing_is_named_with_what_brings_it():
    # A process of its own, in which the library is not there.
    code = (
        "import sys; sys.modules['sacrebleu'] = None\n"
        "from bench.metrics import metrics; from bench.core.errors import Unavailable\n"
        "metric = metrics.build('chrf', {}, 'x')\n"
        "try: metric.prepare()\n"
        "except Unavailable as error: print(metric.ready(), error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False the metric 'chrf' needs the package sacrebleu: pip install 'promptscale[text]'\n"
