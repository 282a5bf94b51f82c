"""Text comes out as a person would read it, and any Unicode comes out as words and plain marks."""

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synthesizer.text.normalize import normalize_text
from synthesizer.text.numbers import cardinal, fraction, ordinal, roman_value, year

READINGS = [
    # numbers
    ("1,000,000 and -5 and 12,345", "one million and minus five and twelve thousand three hundred forty five"),
    ("3.14 or .5", "three point one four or point five"),
    ("007", "zero zero seven"),
    ("the 1st, 2nd, 21st, 111th", "the first, second, twenty first, one hundred eleventh"),
    ("12345678901234567890", "one two three four five six seven eight nine zero " * 2),
    ("1/2, 3/4, 2/3 and 3 1/2 or 2½", "one half, three quarters, two thirds and three and a half or two and a half"),
    ("10-20 and 1914–1918", "ten to twenty and nineteen fourteen to nineteen eighteen"),
    ("24/7", "twenty four seven"),
    ("192.168.0.1", "one hundred ninety two point one hundred sixty eight point zero point one"),
    # years
    ("In 1998, 2005, 2015, 1900, 1905.", "In nineteen ninety eight, two thousand five, twenty fifteen, "
     "nineteen hundred, nineteen oh five."),
    ("the 1900s, 1990s, '90s and 80s", "the nineteen hundreds, nineteen nineties, nineties and eighties"),
    # money
    ("$12.50, £3, $1, $0.99", "twelve dollars and fifty cents, three pounds, one dollar, ninety nine cents"),
    ("€1,250.99", "one thousand two hundred fifty euros and ninety nine cents"),
    ("$3 million, ¥500, -$5, 5€", "three million dollars, five hundred yen, minus five dollars, five euros"),
    ("$10-$20", "ten dollars to twenty dollars"),
    ("$1.5 billion and £2.01", "one point five billion dollars and two pounds and one penny"),
    # units
    ("5 km, 10kg, 1 km, 60 mph, 3 GB", "five kilometers, ten kilograms, one kilometer, sixty miles per hour, "
     "three gigabytes"),
    ("20°C or -4 °F, 90°", "twenty degrees Celsius or minus four degrees Fahrenheit, ninety degrees"),
    ("50% of 10-20 kg", "fifty percent of ten to twenty kilograms"),
    ("a 5-km run", "a five kilometer run"),
    ("5'11\" tall", "five foot eleven tall"),
    # times and dates
    ("at 7:30 p.m. today", "at seven thirty P M today"),
    ("at 7 p.m. He left", "at seven P M. He left"),
    ("10:05, 12:00, 23:15, 9am", "ten oh five, twelve o'clock, twenty three fifteen, nine ay M"),
    ("16:9", "sixteen to nine"),
    ("May 3rd, 1998", "May third, nineteen ninety eight"),
    ("2024-01-31", "January thirty first, twenty twenty four"),
    ("3/4/2024 or 31/12/2024", "March fourth, twenty twenty four or December thirty first, twenty twenty four"),
    ("12 March and the 12th of March", "the twelfth of March and the twelfth of March"),
    ("Jan. 5", "January fifth"),
    ("they may 5 times", "they may five times"),
    # telephone
    ("555-1234", "five five five, one two three four"),
    ("(212) 555-1234", "two one two, five five five, one two three four"),
    ("+1 212 555 1234", "plus one, two one two, five five five, one two three four"),
    # abbreviations
    ("Dr. Smith, Mr. and Mrs. Jones", "Doctor Smith, Mister and Missis Jones"),
    ("St. John lives on Elm St. in town", "Saint John lives on Elm Street in town"),
    ("Rodeo Dr. is near 12th St. here", "Rodeo Drive is near twelfth Street here"),
    ("Smith & Co., Ltd., vs. them, etc.", "Smith and Company, Limited, versus them, et cetera."),
    ("e.g. this, i.e. that", "for example this, that is that"),
    ("No. 5. No, thanks.", "number five. No, thanks."),
    ("He sat. The sun.", "He sat. The sun."),
    ("MR MCVEIGH AND DR SMITH", "Mister MCVEIGH AND Doctor SMITH"),
    ("He is 6 ft. tall", "He is six feet tall"),
    # letters
    ("the U.S.A. and the U.S. Army", "the U S ay and the U S Army"),
    ("J. R. R. Tolkien. So did I. The end.", "J R R Tolkien. So did I. The end."),
    ("MP3, H2O, COVID-19, 3D", "MP three, H two O, COVID nineteen, three D"),
    # Roman numerals
    ("Henry VIII, Chapter IV, World War II", "Henry the eighth, Chapter four, World War two"),
    ("Elizabeth I, but Henry I know", "Elizabeth the first, but Henry I know"),
    # signs
    ("2+2=4 & 5 * 3", "two plus two equals four and five times three"),
    ("#5 and #HelloWorld by @bob_2", "number five and hashtag Hello World by at bob two"),
    ("C# and C++", "C sharp and C plus plus"),
    ("x^2 and/or w/o", "x squared and or without"),
    ("ann@example.com", "ann at example dot com"),
    ("See https://www.example.com/a-b?x=1.", "See example dot com slash a dash b question mark x equals one."),
    # Unicode
    ("“Smart” ‘quotes’ — dash… end", "Smart quotes - dash, end"),
    ("full－width １２３！", "full width one hundred twenty three!"),
    ("café Zoë naïve", "cafe Zoe naive"),
    ("😀 smile 👍🏽", "smile"),
    ("hello (world) [x]", "hello, world, x,"),
    ("well-known re-enter", "well known reenter"),
    ("rock 'n' roll, get 'em, goin'", "rock and roll, get 'em, goin'"),
    ("What?! No...", "What? No."),
    ("5 μm of α", "five micrometers of alpha"),
    ("№5", "number five"),
    ("ChatGPT by Wi-Fi", "Chat GPT by WiFi"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), READINGS, ids=[r[0] for r in READINGS])
def test_reading(text, expected):
    assert normalize_text(text) == expected.strip()


@pytest.mark.parametrize("text", ["", " ", "...", "😀", "\ud800", "\x00", "''\"", "()[]", "—", "~^|"])
def test_nothing_to_say_is_empty(text):
    assert not re.search("[A-Za-z]", normalize_text(text))


AWKWARD = st.one_of(
    st.characters(),
    st.sampled_from("0123456789.,:;/-–'\"$£€%°+#@&*=() \nAaPpMmIiVvXxkKsthDrSt½²"),
    st.sampled_from(["1998", "St.", "p.m.", "May 3", "$5", "km", "Dr.", "e.g.", "http://", ".com", "U.S."]),
)


@settings(deadline=None)
@given(st.lists(AWKWARD, max_size=40).map("".join))
@example("1" * 5000)
@example("٣٤ ৪ ² ⅷ Ⅷ ① 🄌 10⁵")
@example("$" + "9" * 5000 + ".99")
def test_only_words_and_marks_come_out_of_anything(text):
    spoken = normalize_text(text)
    assert re.fullmatch(r"[A-Za-z' !,.:;?-]*", spoken), spoken
    assert spoken == normalize_text(text)


RUNS = ["1", "a", " ", "\n", "a.", "1,", "1-", "1 ", "1/", "1:1", "'", "-", ".", "A. ", "x@", "www.", "St ", "+1 "]


@pytest.mark.parametrize("unit", RUNS)
def test_time_grows_with_length_and_no_faster(unit):
    text = unit * (20_000 // len(unit))
    start = time.perf_counter()
    normalize_text(text)
    assert time.perf_counter() - start < 5


def test_number_words():
    assert cardinal("0") == "zero"
    assert cardinal("1000100") == "one million one hundred"
    assert ordinal("12") == "twelfth" and ordinal("20") == "twentieth" and ordinal("1000") == "one thousandth"
    assert year("2000") == "two thousand" and year("1066") == "ten sixty-six" and year("1800") == "eighteen hundred"
    assert fraction("3", "2") == "three halves"


@given(st.integers(1, 49))
def test_roman_numerals_are_read_back(n):
    tens, ones = divmod(n, 10)
    letters = ("", "X", "XX", "XXX", "XL")[tens] + ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[ones]
    assert roman_value(letters) == n
    assert roman_value(letters + "A") is None
    assert roman_value("IIII") is None
