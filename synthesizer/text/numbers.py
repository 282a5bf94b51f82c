"""Numbers to English words, American style; knows nothing of where in a text a number stands.

The phoneme front end has its own number words because the library that the letter front end needs for its
exact readings takes two seconds to import, more than everything else here together.
"""

_SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
# Longer numbers have names that nobody reads out.
MAX_DIGITS = 3 * len(_SCALES)


def cardinal(digits: str) -> str:
    """ "1234" -> "one thousand two hundred thirty-four"; more than 18 digits are read one by one."""
    significant = digits.lstrip("0")
    if not significant:
        return "zero"
    if len(significant) > MAX_DIGITS:
        return spell_digits(digits)
    number, groups = int(significant), []
    for scale in _SCALES:
        number, group = divmod(number, 1000)
        if group:
            groups.append(f"{_below_thousand(group)} {scale}".rstrip())
    return " ".join(reversed(groups))


def _below_thousand(n: int) -> str:
    if n >= 100:
        rest = _below_thousand(n % 100) if n % 100 else ""
        return f"{_SMALL[n // 100]} hundred {rest}".rstrip()
    if n < 20:
        return _SMALL[n]
    return _TENS[n // 10] + ("-" + _SMALL[n % 10] if n % 10 else "")


def ordinal(digits: str) -> str:
    """ "21" -> "twenty-first"."""
    words = cardinal(digits)
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[cut:]
    if last in _ORDINALS:
        return words[:cut] + _ORDINALS[last]
    return words[:cut] + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def spell_digits(digits: str) -> str:
    """ "007" -> "zero zero seven"."""
    return " ".join(_SMALL[int(d)] for d in digits)


def decimal(whole: str, fraction: str) -> str:
    """ ("3", "14") -> "three point one four"; an empty whole part is not read."""
    return f"{cardinal(whole) if whole else ''} point {spell_digits(fraction)}".lstrip()


def year(digits: str) -> str:
    """Four digits as a year: "1998" -> "nineteen ninety-eight", "1905" -> "nineteen oh five", "2005" -> "two
    thousand five"."""
    century, rest = int(digits[:2]), int(digits[2:])
    if century % 10 == 0 and rest < 10:
        return cardinal(digits)
    if rest == 0:
        return f"{cardinal(digits[:2])} hundred"
    return f"{cardinal(digits[:2])} {'oh ' if rest < 10 else ''}{cardinal(digits[2:])}"


def plural(words: str) -> str:
    """ "nineteen ninety" -> "nineteen nineties"."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")


def fraction(numerator: str, denominator: str) -> str:
    """ ("1", "2") -> "one half", ("3", "4") -> "three quarters"."""
    named = {"2": "half", "4": "quarter"}
    part = named.get(denominator) or ordinal(denominator)
    if numerator == "1":
        return f"one {part}"
    return f"{cardinal(numerator)} {'halves' if part == 'half' else part + 's'}"


def roman_value(letters: str) -> int | None:
    """The value of a well-formed Roman numeral below 50 in capitals, else None."""
    values = {"I": 1, "V": 5, "X": 10, "L": 50}
    if not letters or any(c not in values for c in letters):
        return None
    total = 0
    for c, following in zip(letters, [*letters[1:], ""], strict=True):
        value = values[c]
        total += -value if following and values[following] > value else value
    return total if 0 < total < 50 and letters == _roman(total) else None


def _roman(n: int) -> str:
    tens = ("", "X", "XX", "XXX", "XL")[n // 10]
    return tens + ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[n % 10]
