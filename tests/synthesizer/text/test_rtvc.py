"""The letter front end gives the ids that the public models were trained with."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.errors import TextError
from synthesizer.text import get_front_end
from synthesizer.text.rtvc import RtvcFrontEnd

FRONT_END = RtvcFrontEnd()


def spoken(text: str) -> str:
    return "".join(FRONT_END.symbols[i] for i in FRONT_END.encode(text))


def test_symbols_and_ids_match_the_reference(reference):
    stored = reference("text")
    front_end = get_front_end("rtvc")
    assert list(front_end.symbols) == stored["symbols"]
    for case in stored["cases"]:
        assert front_end.encode(case["text"]) == case["ids"], case["text"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$0.99 or $1.2.3?", "ninety-nine cents or one point two.three dollars?~"),
        ("In 2005, 1900 and 1001.", "in two thousand five, nineteen hundred and ten oh one.~"),
        ("$1,000.5 the 111th", "one thousand dollars, five cents the one hundred and eleventh~"),
        ("Mrs. St. Mr.", "misess saint mister~"),
        ("$0 left", "zero dollars left~"),
        ("a_b ~ c", "ab  c~"),
    ],
)
def test_readings(text, expected):
    assert spoken(text) == expected


def test_transliteration():
    assert FRONT_END.clean("naïve — £V “ok” 😀 漢字 …") == 'naive -- psv "ok" han zi ...'


@pytest.mark.parametrize("text", ["7" * 5000, "$" + "7" * 5000])
def test_a_number_without_a_name_is_read_digit_by_digit(text):
    assert spoken(text).count("seven") == 5000


@pytest.mark.parametrize("text", ["", "   ", "...", "😀", "~_", "\ud800"])
def test_nothing_to_say(text):
    with pytest.raises(TextError, match="nothing to say"):
        FRONT_END.encode(text)


def test_braces_are_refused_with_a_reason():
    with pytest.raises(TextError, match="reads letters"):
        FRONT_END.encode("Say {HH AH0 L OW1}")


@settings(deadline=None)
@given(st.text(st.characters(), max_size=60))
def test_any_text_gives_valid_ids_or_a_text_error(text):
    try:
        ids = FRONT_END.encode(text)
    except TextError:
        return
    assert ids[-1] == 1 and ids == FRONT_END.encode(text)
    assert all(2 <= i < 66 for i in ids[:-1])
