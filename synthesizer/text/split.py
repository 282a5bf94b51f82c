"""Long text to pieces that a synthesizer can say in one go, with the pauses between; knows no symbols or ids."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .normalize import normalize_text
from .tables import ABBREVIATIONS, DOTTED, NUMBERED, TITLES

LINE_PAUSE = 0.4
PARAGRAPH_PAUSE = 0.8
SENTENCE_PAUSE = 0.25
CLAUSE_PAUSE = 0.15
BREATH_PAUSE = 0.05

LONGEST_PAUSE = 60.0

_TOKEN = re.compile(r"[^\s{}]*\{[^{}]*\}[^\s{}]*|\S+")
_PAUSE_MARK = re.compile(r"\[ *(?:pause +)?([0-9]+(?:\.[0-9]+)?|\.[0-9]+) *s *\]", re.IGNORECASE)
_CLOSERS = "\"'”’)]»›*_"
_ENDS = ".!?…。！？．｡‼⁇⁈⁉؟।"
_STRONG = ";:；：—–―"
_COMMAS = ",，、،"
_CONJUNCTIONS = frozenset(
    [
        "and", "or", "but", "because", "so", "then", "while", "when", "where", "which", "who", "that",
        "if", "although", "though", "since", "until", "unless", "as", "nor", "yet", "before", "after",
        "with", "without", "into", "from",
    ]  # fmt: skip
)
_STARTERS = frozenset(
    ("The", "It", "He", "She", "They", "We", "You", "I", "But", "And", "This", "That", "There", "In", "If", "So",
     "What", "No", "Yes", "Then")
)  # fmt: skip
_NEVER_LAST = frozenset((*TITLES, "dr", "st", "vs", "approx", "esp", "incl", "cf", "viz", "ft", "mt"))
_MAYBE_LAST = frozenset((*ABBREVIATIONS, "jan", "mar", "apr", "jun", "jul", "a.m", "p.m"))


@dataclass(frozen=True)
class Segment:
    """``text`` to say and the ``pause`` after it in seconds (0 after the last one)."""

    text: str
    pause: float


def split_text(text: str, max_chars: int = 120, min_chars: int = 20, speed: float = 1.0) -> list[Segment]:
    """``text`` cut at line breaks, pause marks, sentence ends and, where a sentence is longer than about
    ``max_chars``, at clauses and at last at spaces. Digits count five times: "1998" is as long as its words.

    Sentences shorter than ``min_chars`` are joined with a neighbour of the same line, because very short texts
    come out worse. All words are kept, in order; phonemes in braces stay together. Lines without a word are
    pauses; at ``speed`` 2 all pauses are half as long. A mark like "[1.5 s]" or "[pause 1.5 s]" is a pause of
    just that length, at most ``LONGEST_PAUSE``. The list is empty when there is nothing to say.
    """
    if max_chars < 1:
        raise ValueError(f"max_chars must be at least 1, not {max_chars}")
    segments: list[Segment] = []
    asked: dict[int, float] = {}
    for line in re.split(r"\r\n|[\n\r\v\f\x85\u2028\u2029]", text):
        parts = _PAUSE_MARK.split(line)
        for index, part in enumerate(parts[::2]):
            pieces = [s for s in _split_line(part, max_chars, min_chars) if _has_words(s.text)]
            if index == 0 and segments and segments[-1].pause < PARAGRAPH_PAUSE:
                after = LINE_PAUSE if pieces else PARAGRAPH_PAUSE
                segments[-1] = Segment(segments[-1].text, max(segments[-1].pause, after))
            segments.extend(pieces)
            if 2 * index + 1 < len(parts) and segments:
                seconds = asked.get(len(segments) - 1, 0.0) + float(parts[2 * index + 1])
                asked[len(segments) - 1] = min(seconds, LONGEST_PAUSE)
    last = len(segments) - 1
    return [
        Segment(s.text, asked.get(i, s.pause / speed) if i < last else 0.0) for i, s in enumerate(segments)
    ]


def _has_words(text: str) -> bool:
    if any(c.isascii() and c.isalnum() for c in text) or "{" in text:
        return True
    return any(c.isalpha() for c in normalize_text(text))


def _cost(token: str) -> int:
    return len(token) + 1 + 4 * sum(c.isdigit() for c in token)


def _split_line(line: str, max_chars: int, min_chars: int) -> list[Segment]:
    # Scripts without spaces end their sentences in the middle of what looks like one word.
    line = re.sub(r"(?<=[。！？｡])(?=[^\s。！？｡…”’」』)\]])", " ", line)
    tokens = [piece for token in _TOKEN.findall(line) for piece in _broken(token, max_chars)]
    sentences = _joined_short(list(_sentences(tokens)), max_chars, min_chars)
    segments: list[Segment] = []
    for i, sentence in enumerate(sentences):
        pieces = _split_sentence(sentence, max_chars)
        if i + 1 < len(sentences):
            pieces[-1] = Segment(pieces[-1].text, SENTENCE_PAUSE)
        segments.extend(pieces)
    return segments


def _broken(token: str, max_chars: int) -> list[str]:
    """A token that nobody could say in one go, in parts."""
    if _cost(token) <= 3 * max_chars or "{" in token:
        return [token]
    size = max(1, max_chars // (5 if any(c.isdigit() for c in token) else 1))
    return [token[i : i + size] for i in range(0, len(token), size)]


def _sentences(tokens: list[str]) -> Iterator[list[str]]:
    sentence: list[str] = []
    for i, token in enumerate(tokens):
        sentence.append(token)
        if i + 1 < len(tokens) and _ends_sentence(token, tokens[i + 1]):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _ends_sentence(token: str, following: str) -> bool:
    core = token.rstrip(_CLOSERS)
    if not core or core[-1] not in _ENDS:
        return False
    first = following.lstrip("\"'“‘([«*_¿¡-–—")[:1]
    if first.islower():
        return False
    if core[-1] != "." or core.endswith(".."):
        return True
    word = core[:-1].lstrip("\"'“‘([«*_").lower()
    if word in _NEVER_LAST or word in DOTTED and word not in _MAYBE_LAST:
        return False
    if word in NUMBERED and first.isdigit():
        return False
    if word in _MAYBE_LAST:
        return first.isupper()
    if re.fullmatch(r"(?:[a-z]\.)+[a-z]", word):
        # "The U.S. Army", but "in the U.S. They".
        return following in _STARTERS
    # An initial before a name; "So did I." ends.
    return not (len(word) == 1 and word.isalpha() and word != "i" and first.isupper())


def _total(tokens: list[str]) -> int:
    return sum(map(_cost, tokens)) - 1


def _joined_short(sentences: list[list[str]], max_chars: int, min_chars: int) -> list[list[str]]:
    joined: list[list[str]] = []
    for sentence in sentences:
        if joined:
            before, here = _total(joined[-1]), _total(sentence)
            if min(before, here) < min_chars and before + here < max_chars:
                joined[-1] = joined[-1] + sentence
                continue
        joined.append(sentence)
    return joined


def _split_sentence(tokens: list[str], max_chars: int) -> list[Segment]:
    if _total(tokens) <= max_chars or len(tokens) == 1:
        return [Segment(" ".join(tokens), 0.0)]
    cut, pause = _best_cut(tokens)
    first = _split_sentence(tokens[:cut], max_chars)
    first[-1] = Segment(first[-1].text, pause)
    return first + _split_sentence(tokens[cut:], max_chars)


def _best_cut(tokens: list[str]) -> tuple[int, float]:
    """Index before which to cut, and the pause there: the best kind of place that is not too near an end."""
    total = _total(tokens)
    places: list[list[tuple[float, int]]] = [[], [], [], []]
    done = 0
    for i in range(1, len(tokens)):
        done += _cost(tokens[i - 1])
        places[_kind(tokens[i - 1], tokens[i])].append((abs(done / total - 0.5), i))
    for kind, furthest, pause in ((0, 0.3, CLAUSE_PAUSE), (1, 0.3, CLAUSE_PAUSE), (2, 0.2, BREATH_PAUSE)):
        if places[kind] and min(places[kind])[0] <= furthest:
            return min(places[kind])[1], pause
    return min(p for kind in places for p in kind)[1], BREATH_PAUSE


def _kind(token: str, following: str) -> int:
    """What lies between two tokens: 0 a strong mark, 1 a comma, 2 a conjunction after it, 3 a mere space."""
    last = token.rstrip(_CLOSERS)[-1:]
    if last and last in _STRONG + _ENDS or re.fullmatch(r"-+", token):
        return 0
    if last and last in _COMMAS:
        return 1
    return 2 if following.lower() in _CONJUNCTIONS else 3
