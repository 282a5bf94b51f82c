"""Long text in pieces: every word, in order, cut where a reader would breathe."""

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthesizer.text import Segment, split_text
from synthesizer.text.split import LINE_PAUSE, LONGEST_PAUSE, PARAGRAPH_PAUSE, SENTENCE_PAUSE


def texts(*args, **options):
    return [s.text for s in split_text(*args, **options)]


def test_sentences_lines_and_paragraphs():
    segments = split_text(
        "This is the first sentence. Here comes the second one!\nA new line follows it.\n\nAnd a new paragraph ends."
    )
    assert segments == [
        Segment("This is the first sentence.", SENTENCE_PAUSE),
        Segment("Here comes the second one!", LINE_PAUSE),
        Segment("A new line follows it.", PARAGRAPH_PAUSE),
        Segment("And a new paragraph ends.", 0.0),
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Smith met Mr. and Mrs. Jones at 5.30 p.m. on St. Peter's square.",
        "It cost $3.50, e.g. at No. 5, i.e. at the U.S. Army shop.",
        "J. R. R. Tolkien wrote that... and this.",
        '"Is it you?" he asked, "or not?" she added.',
        "See www.example.com for more.",
    ],
)
def test_what_does_not_end_a_sentence(sentence):
    assert texts(sentence, max_chars=500, min_chars=0) == [sentence]


def test_what_ends_a_sentence():
    assert texts("So did I. He came at 5 p.m. She left. 你好。再见！ OK?", min_chars=0) == [
        "So did I.", "He came at 5 p.m.", "She left.", "你好。", "再见！", "OK?",
    ]  # fmt: skip


def test_short_sentences_join_their_neighbours():
    assert texts("No. Yes. I do not think that this is right. Oh.") == [
        "No. Yes. I do not think that this is right. Oh."
    ]
    assert texts("No.\nYes.") == ["No.", "Yes."]
    assert texts("No! Yes!", min_chars=0) == ["No!", "Yes!"]


def test_long_sentences_are_cut_at_clauses_then_conjunctions():
    long = "we walked along the river for a long time; the weather was fine, and nobody else was to be seen"
    assert texts(long, max_chars=60)[0] == "we walked along the river for a long time;"
    plain = "we walked along the quiet river for a long time and nobody else was to be seen there"
    assert texts(plain, max_chars=60)[1].startswith("and nobody")


def test_phonemes_stay_together():
    braced = "{" + " ".join(["AH0"] * 60) + "}"
    assert texts(f"one two {braced} three", max_chars=20)[1] == braced


def test_nothing_to_say():
    assert split_text("") == split_text("\n---\n *** \n") == split_text("😀 …") == []
    assert split_text("One line here.\n***\nAnother line here.")[0].pause == PARAGRAPH_PAUSE


TEXT = st.text(st.one_of(st.characters(), st.sampled_from("abcDEF   .,;!?-\n\"'{}12")), max_size=300)


@settings(deadline=None)
@given(TEXT, st.integers(1, 80), st.integers(0, 40))
def test_all_words_are_kept_in_order(text, max_chars, min_chars):
    segments = split_text(text, max_chars, min_chars)
    kept = re.sub(r"[^A-Za-z0-9]", "", "".join(s.text for s in segments))
    assert kept == re.sub(r"[^A-Za-z0-9]", "", text)
    assert all(s.text.strip() and s.pause >= 0 for s in segments)
    assert not segments or segments[-1].pause == 0


@settings(deadline=None)
@given(st.lists(st.text("abcdefgh", min_size=1, max_size=9), min_size=1, max_size=200), st.integers(20, 120))
def test_segments_are_no_longer_than_asked(words, max_chars):
    assert all(len(t) <= max_chars for t in texts(" ".join(words), max_chars=max_chars))


def test_two_thousand_words_are_quick():
    rng = random.Random(0)
    vocabulary = ("the", "quick,", "brown", "fox;", "jumps", "over", "dogs.", "Then", "and", "1998", "words")
    words = rng.choices(vocabulary, k=2000)
    start = time.perf_counter()
    assert len(texts(" ".join(words))) > 50
    assert len(texts("word " * 2000)) > 50
    assert time.perf_counter() - start < 2


def test_pause_marks_are_pauses_of_that_length():
    text = "One is here, [1.5 s] and two is there. [pause 2s][.5 S]\nThree is next. Four is last, is it? [3 s]"
    usual = split_text(text, min_chars=0)
    assert usual == [
        Segment("One is here,", 1.5),
        Segment("and two is there.", 2.5),
        Segment("Three is next.", SENTENCE_PAUSE),
        Segment("Four is last, is it?", 0.0),
    ]
    fast = split_text(text, min_chars=0, speed=2.0)
    assert [s.pause for s in fast] == [1.5, 2.5, SENTENCE_PAUSE / 2, 0.0]
    assert split_text("[2 s] Begin. [999 s] End.")[0] == Segment("Begin.", LONGEST_PAUSE)
    assert texts("In [s] or [1 m] or 1 s") == ["In [s] or [1 m] or 1 s"]
