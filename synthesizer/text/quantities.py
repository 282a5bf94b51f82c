"""Digits to words by what they stand for: dates, times, money, units, ranges, years; knows no abbreviations."""

import re

from . import numbers
from .numbers import cardinal, ordinal, spell_digits
from .tables import CURRENCIES, CURRENCY_CODES, MONTHS, SCALES, UNITS

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_MONTH = "|".join(f"{m}|{m[:3]}" for m in MONTHS) + "|Sept"
_MONTH_OF = {m[:3].lower(): m for m in MONTHS}
_SIGNS = "".join(re.escape(s) for s in CURRENCIES)

_ISO_DATE = re.compile(r"(?<![\d-])(\d{4})-(\d{2})-(\d{2})(?:T(?=\d{2}:\d{2}))?(?![\d-])")
_SLASH_DATE = re.compile(r"(?<![\d/.])(\d{1,2})([/.])(\d{1,2})\2((?:1\d|20)\d{2})(?![\d/])")
_MONTH_DAY = re.compile(
    rf"\b({_MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?(?![\d:/%]|\.\d)(?:\s*,?\s+((?:1\d|20)\d{{2}})\b(?![,.]\d))?",
    re.IGNORECASE,
)
_DAY_MONTH = re.compile(
    rf"(\bthe\s+)?\b(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({_MONTH})\b\.?(?:\s*,?\s+((?:1\d|20)\d{{2}})\b(?![,.]\d))?",
    re.IGNORECASE,
)
_TIME = re.compile(r"(?<![\d:.])(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?![\d:])(\s*[AaPp]\.?[Mm]\b\.?|\s+ay M|\s+P M)?")
_HOUR = re.compile(r"(?<![\d:.,])(\d{1,2})\s*([AaPp])\.?[Mm]\b")
_RATIO = re.compile(r"(?<![\d:])(\d+):(\d+)(?![\d:])")
_PHONE = re.compile(
    r"(?<![\w.-])(?:\+\d{1,3}[ .-]?)?(?:(?:\d{3}|, *\d{3} *,)[ .-]*)?\d{3}[.-]\d{4}(?![\w-])"
    r"|(?<!\w)\+\d{1,3}(?:[ .-]?\d{2,4}){2,5}\b"
    r"|(?<![\w.,-])0\d{2,4}(?:[ -]\d{3,4}){2,3}(?![\w-])"
)
_MONEY = re.compile(
    rf"(?P<minus>(?<![\w-])-)?(?:\b(?:US|A|C|CA|AU|NZ|HK))?(?<!\d)(?P<sign>[{_SIGNS}])\s?(?P<number>{_NUMBER})"
    rf"(?:\s?(?P<scale>{'|'.join(s for s in SCALES if len(s) > 2)})\b|(?P<short>k|K|mn|m|M|bn|B|b|tn)\b)?",
    re.IGNORECASE,
)
_MONEY_CODE = re.compile(rf"(?<![\w.])({_NUMBER})\s?({'|'.join(CURRENCY_CODES)}|[{_SIGNS}])(?!\w)")
_DECADE = re.compile(r"(?<![\d.,])(?:'|\b)(\d0|(?:1\d|20)\d0)'?s\b")
_SHORT_YEAR = re.compile(r"(?<![\w'])'(\d\d)\b(?![.,]?\d)")
_FEET = re.compile(r"(?<![\w.])(\d{1,2})'\s?(\d{1,2})(?:\"|'')")
_ORDINAL = re.compile(r"(?<![\d.])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b", re.IGNORECASE)
_UNIT_NAMES = "|".join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True))
_UNIT = re.compile(
    rf"(?P<number>(?<![\w.,]){_NUMBER})(?P<gap>[\s-]?)(?P<unit>{_UNIT_NAMES})(?P<power>2|3)?(?![\w/']|-\w)(?:\.(?=\s+[a-z]))?"
)
_RANGE = re.compile(rf"(?<![\w./-])({_NUMBER})(\s?–\s?|-)({_NUMBER})(?![\d/]|-\d)")
_CHAIN = re.compile(r"(?<![\w.-])\d+(?:-\d+){2,}(?![\w-])")
_MINUS = re.compile(r"(?<![\w)-])-(?=\.?\d)")
_MIXED_FRACTION = re.compile(r"(?<![\w./])(\d+)[ -](\d{1,2})/(\d{1,3})(?![\w/])")
_FRACTION = re.compile(r"(?<![\w./])(\d{1,3})/(\d{1,3})(?!\d*[/.]\d|\d)")
_TIMES = re.compile(r"(?<=\d)\s*[*x×]\s*(?=\d)")
_POWER = re.compile(r"(?<=\w)\^(-?)(\d+)")
_YEAR = re.compile(r"(?<![\w.,-])(1[1-9]\d\d|10[1-9]\d|20\d\d)(?![\w,]*\d|[.:]\d|\s?[%°])")
_VERSION = re.compile(r"(?<![\d.])\d+(?:\.\d+){2,}(?![\w])")
_PLAIN = re.compile(_NUMBER)


def expand_quantities(text: str) -> str:
    """Every number that stands in a known pattern, and at last every number, in words."""
    text = _ISO_DATE.sub(lambda m: _date(m[0], m[2], m[3], m[1]), text)
    text = _SLASH_DATE.sub(_slash_date, text)
    text = _PHONE.sub(lambda m: _digit_groups(m[0]), text)
    text = _DAY_MONTH.sub(_day_month, text)
    text = _MONTH_DAY.sub(_month_day, text)
    text = _TIME.sub(_time, text)
    text = _HOUR.sub(lambda m: f"{cardinal(m[1])} {_half_day(m[2])}" if int(m[1]) <= 12 else m[0], text)
    text = _RATIO.sub(lambda m: f"{cardinal(m[1])} to {cardinal(m[2])}", text)
    text = _DECADE.sub(_decade, text)
    text = _SHORT_YEAR.sub(lambda m: ("oh " if m[1] < "10" else "") + cardinal(m[1]), text)
    text = _FEET.sub(lambda m: f"{cardinal(m[1])} foot {cardinal(m[2])}", text)
    text = re.sub(rf"(?<=\d)\s?[-–]\s?(?=[{_SIGNS}]\d)", " to ", text)
    text = _MONEY.sub(_money, text)
    text = _MONEY_CODE.sub(lambda m: _amount(CURRENCY_CODES.get(m[2], m[2]), m[1]), text)
    text = _VERSION.sub(lambda m: " " + " point ".join(cardinal(p) for p in m[0].split(".")), text)
    text = _CHAIN.sub(lambda m: _digit_groups(m[0]), text)
    text = _RANGE.sub(_range, text)
    text = _MIXED_FRACTION.sub(_mixed_fraction, text)
    text = _FRACTION.sub(_fraction, text)
    text = _MINUS.sub("minus ", text)
    text = _TIMES.sub(" times ", text)
    text = _POWER.sub(_power, text)
    text = _ORDINAL.sub(lambda m: f" {ordinal(m[1].replace(',', ''))} ", text)
    text = _UNIT.sub(_unit, text)
    text = _YEAR.sub(lambda m: numbers.year(m[1]), text)
    text = re.sub(r"~\s?(?=\d)", " about ", text)
    # "B2B", "MP3", "COVID-19": the number is a word of its own.
    text = re.sub(r"(?<=[A-Za-z])-?(?=\d)", " ", text)
    text = _PLAIN.sub(lambda m: _read(m[0]) + (" " if text[m.end() : m.end() + 1].isalpha() else ""), text)
    return text.replace("–", " - ")


def _read(number: str) -> str:
    """A number as counted: "1,250.5" -> "one thousand two hundred fifty point five", "007" digit by digit."""
    whole, point, fraction = number.replace(",", "").partition(".")
    if point:
        return numbers.decimal(whole, fraction)
    return spell_digits(whole) if len(whole) > 1 and whole[0] == "0" else cardinal(whole)


def _read_year(number: str) -> str:
    return numbers.year(number) if re.fullmatch(r"1[1-9]\d\d|20\d\d", number) else _read(number)


def _date(written: str, month: str, day: str, year: str | None) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return written
    named = f"{MONTHS[int(month) - 1]} {ordinal(day)}"
    return f"{named}, {numbers.year(year)} " if year else f"{named} "


def _slash_date(match: re.Match[str]) -> str:
    first, second = match[1], match[3]
    # American order where it is possible; a full stop between the numbers is European.
    day_first = int(first) > 12 or match[2] == "."
    return _date(match[0], *((second, first) if day_first else (first, second)), match[4]).rstrip()


def _full_month(name: str) -> str:
    return _MONTH_OF[name[:3].lower()]


def _month_day(match: re.Match[str]) -> str:
    name, day, year = match.groups()
    if not (name[0].isupper() and 1 <= int(day) <= 31):
        return match[0]
    return f"{_full_month(name)} {ordinal(day)}" + (f", {numbers.year(year)}" if year else "")


def _day_month(match: re.Match[str]) -> str:
    _the, day, name, year = match.groups()
    if not (name[0].isupper() and 1 <= int(day) <= 31):
        return match[0]
    return f"the {ordinal(day)} of {_full_month(name)}" + (f", {numbers.year(year)}" if year else "")


def _half_day(letter: str) -> str:
    return "ay M" if letter in "aA" else "P M"


def _time(match: re.Match[str]) -> str:
    hour, minute, second, half = match.groups()
    if int(hour) > 24:
        return match[0]
    words = [cardinal(hour)]
    if minute != "00":
        words.append(f"oh {cardinal(minute)}" if minute[0] == "0" else cardinal(minute))
    elif not half and not second:
        words.append("o'clock" if 1 <= int(hour) <= 12 else "hundred")
    if second and second != "00":
        words.append(f"and {cardinal(second)} second{'' if second == '01' else 's'}")
    if half:
        words.append(_half_day(half.strip()[0]))
    return " ".join(words)


def _digit_groups(written: str) -> str:
    """Digits one by one with a pause between the groups."""
    plus = "plus " if written.startswith("+") else ""
    return plus + ", ".join(spell_digits(group) for group in re.findall(r"\d+", written))


def _decade(match: re.Match[str]) -> str:
    digits = match[1]
    words = cardinal(digits) if len(digits) == 2 else numbers.year(digits)
    return numbers.plural(words)


def _money(match: re.Match[str]) -> str:
    scale = match["scale"] or match["short"]
    minus = "minus " if match["minus"] else ""
    return minus + _amount(match["sign"], match["number"], SCALES[scale.lower()] if scale else "")


def _amount(sign: str, number: str, scale: str = "") -> str:
    one, many, hundredth, hundredths = CURRENCIES[sign]
    whole, _, fraction = number.replace(",", "").partition(".")
    if scale:
        return f"{_read(number)} {scale} {many} "
    if len(fraction) != 2 or not hundredth:
        return f"{_read(number)} {one if number == '1' else many} "
    parts = []
    if whole.strip("0"):
        parts.append(f"{cardinal(whole)} {one if whole == '1' else many}")
    if fraction != "00":
        parts.append(f"{cardinal(fraction)} {hundredth if fraction == '01' else hundredths}")
    return (" and ".join(parts) or f"zero {many}") + " "


def _range(match: re.Match[str]) -> str:
    first, _dash, last = match.groups()
    if re.fullmatch(r"(1[1-9]|20)\d\d", first):
        if re.fullmatch(r"\d\d", last):
            return f"{numbers.year(first)} to {_read(last)}"
        return f"{numbers.year(first)} to {_read_year(last)}"
    # Digits stay: what follows may be a unit or a percent sign.
    return f"{_read(first)} to {last}"


def _mixed_fraction(match: re.Match[str]) -> str:
    whole, top, bottom = match.groups()
    if not 0 < int(top) < int(bottom):
        return match[0]
    words = numbers.fraction(top, bottom)
    return f"{cardinal(whole)} and {words.replace('one ', 'a ', 1) if top == '1' else words}"


def _fraction(match: re.Match[str]) -> str:
    top, bottom = match.groups()
    if match[0] in ("24/7", "9/11"):
        return f"{cardinal(top)} {cardinal(bottom)}"
    if 0 < int(top) < int(bottom) <= 100:
        return numbers.fraction(top, bottom)
    return f"{cardinal(top)} over {cardinal(bottom)}"


def _power(match: re.Match[str]) -> str:
    minus, digits = match.groups()
    if not minus and digits in "23":
        return " squared" if digits == "2" else " cubed"
    return f" to the power of {'minus ' if minus else ''}{cardinal(digits)}"


def _unit(match: re.Match[str]) -> str:
    number, unit, power = match["number"], match["unit"], match["power"]
    if match["gap"] == "-" and unit in ("s", "m", "g", "l", "h", "V", "W", "J", "L"):
        return match[0]
    one, many = UNITS[unit]
    # "a 5-km run": a measure in front of a noun has no plural.
    name = one if number == "1" or match["gap"] == "-" else many
    if power and unit in ("m", "km", "cm", "mm", "ft", "mi"):
        name = f"{'square' if power == '2' else 'cubic'} {name}"
    elif power:
        return match[0]
    return f"{_read(number)} {name}"
