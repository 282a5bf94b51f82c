"""The phoneme front end: its symbols, words of every kind, and any Unicode."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audio.errors import TextError
from synthesizer.text import get_front_end
from synthesizer.text.arpabet import ArpabetFrontEnd, parse_phonemes
from synthesizer.text.symbols import ARPABET_SYMBOLS, PHONEMES

FRONT_END = ArpabetFrontEnd()


def said(text: str) -> str:
    """Symbols with "|" for the space between words."""
    return " ".join(FRONT_END.phonemize(text)).replace("   ", " | ")


def test_symbols_are_fixed():
    assert ARPABET_SYMBOLS[:10] == ("_", "~", " ", "!", ",", ".", ":", ";", "?", "-")
    assert ARPABET_SYMBOLS[10:13] == ("AA0", "AA1", "AA2") and ARPABET_SYMBOLS[-1] == "ZH"
    assert len(ARPABET_SYMBOLS) == len(set(ARPABET_SYMBOLS)) == 79 and len(PHONEMES) == 69
    front_end = get_front_end("arpabet")
    assert front_end.symbols == ARPABET_SYMBOLS and front_end.pad_id == 0 and front_end.name == "arpabet"


def test_a_sentence():
    ids = FRONT_END.encode("Hello, world!")
    assert [ARPABET_SYMBOLS[i] for i in ids] == ["HH", "AH0", "L", "OW1", ",", " ", "W", "ER1", "L", "D", "!", "~"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the cat, a dog", "DH AH0 | K AE1 T , | AH0 | D AO1 G"),
        ("the old", "DH IY0 | OW1 L D"),
        ("vitamin A", "V AY1 T AH0 M AH0 N | EY1"),
        ("the FBI, the USA", "DH IY0 | EH1 F B IY1 AY1 , | DH AH0 | Y UW2 EH2 S EY1"),
        ("NATO", "N EY1 T OW0"),
        ("The US and us", "DH AH0 | Y UW1 EH1 S | AH0 N D | AH1 S"),
        ("TELL US NOW", "T EH1 L | AH1 S | N AW1"),
        ("two GPUs", "T UW1 | JH IY1 P IY1 Y UW1 Z"),
        ("steward's", "S T UW1 ER0 D Z"),
        ("the dogs' tails", "DH AH0 | D AA1 G Z | T EY1 L Z"),
        ("unquenchable", "AH0 N K W EH1 N CH AH0 B AH0 L"),
        ("nightglow", "N AY1 T G L OW2"),
        ("hazarded", "HH AE1 Z ER0 D AH0 D"),
        ("that'll", "DH AE1 T AH0 L"),
        ("I read it; I have read it", "AY1 | R IY1 D | IH1 T ; | AY1 | HH AE1 V | R EH1 D | IH1 T"),
        ("Close the door", "K L OW1 Z | DH AH0 | D AO1 R"),
        ("to record a record", "T UW1 | R IH0 K AO1 R D | AH0 | R EH1 K ER0 D"),
        ("wait - no", "W EY1 T - | N OW1"),
        ("$5", "F AY1 V | D AA1 L ER0 Z"),
    ],
)
def test_words(text, expected):
    assert said(text) == expected


def test_phonemes_in_braces_are_taken_literally():
    assert said("Say {HH AH0 L OW1}.") == "S EY1 | HH AH0 L OW1 ."
    assert said("{T UW1}s - x, {T UW1}, 5") == "T UW1 | EH1 S - | EH1 K S , | T UW1 , | F AY1 V"
    assert said("{T AH0 M EY1 T OW2}") == "T AH0 M EY1 T OW2"
    assert parse_phonemes("hh ah l ow") == ("HH", "AH1", "L", "OW0")


@pytest.mark.parametrize(
    ("text", "named"),
    [("{HH QQ1}", '"QQ1"'), ("{B3}", '"B3"'), ("{}", "no phonemes"), ("a { b", "partner"), ("a } b", "partner")],
)
def test_malformed_braces_are_named(text, named):
    with pytest.raises(TextError, match=named):
        FRONT_END.encode(text)


@pytest.mark.parametrize("text", ["", " ", "...", "?!", "😀", "\n\n"])
def test_nothing_to_say(text):
    with pytest.raises(TextError, match="nothing to say"):
        FRONT_END.encode(text)


def test_unknown_front_end():
    with pytest.raises(TextError, match="arpabet, rtvc"):
        get_front_end("ipa")


@settings(deadline=None)
@given(st.text(st.one_of(st.characters(), st.sampled_from("abcdest AEIUS'.,!?-{}0123456789")), max_size=50))
@example("'")
@example("q" * 300 + "a" * 300)
def test_any_text_gives_valid_ids_or_a_text_error(text):
    try:
        ids = FRONT_END.encode(text)
    except TextError:
        return
    assert ids[-1] == 1 and ids == FRONT_END.encode(text)
    assert all(2 <= i < len(ARPABET_SYMBOLS) for i in ids[:-1])
    assert not any(a == b == 2 for a, b in zip(ids, ids[1:], strict=False))


@settings(deadline=None)
@given(st.lists(st.sampled_from(PHONEMES), min_size=1, max_size=12))
def test_every_phoneme_can_be_written_in_braces(phonemes):
    assert FRONT_END.phonemize("{" + " ".join(phonemes) + "}") == phonemes


def test_the_dictionary_loads_in_a_moment_and_once():
    front_end = ArpabetFrontEnd()
    front_end.encode("warm")
    start = time.perf_counter()
    for _ in range(200):
        front_end.encode("The weather is nice today, so we are going to the park.")
    assert time.perf_counter() - start < 2


def test_transcripts_of_the_corpus_can_all_be_said(shared_dir):
    files = sorted(shared_dir.glob("corpus/LibriSpeech/*/*/*/*.trans.txt"))[:40]
    for file in files:
        for line in file.read_text().splitlines():
            assert FRONT_END.encode(line.split(" ", 1)[1])[-1] == 1
