"""Words with one spelling and several sounds, chosen by the words around them; knows no dictionary."""

from collections.abc import Sequence

from .lexicon import Phonemes

# After these a word such as "record" is a verb.
_VERB_CUES = frozenset(
    [
        "to", "will", "would", "can", "could", "cannot", "can't", "couldn't", "won't", "wouldn't",
        "shall", "should", "must", "may", "might", "do", "does", "did", "don't", "doesn't", "didn't",
        "not", "i", "you", "we", "they", "let", "let's", "please", "who", "i'll", "you'll", "we'll",
        "they'll", "he'll", "she'll", "i'd", "we'd",
    ]  # fmt: skip
)
_PAST_CUES = frozenset(
    [
        "had", "has", "have", "was", "were", "is", "are", "be", "been", "being", "i've", "you've",
        "we've", "they've", "he'd", "having", "already", "he", "she", "it", "who",
    ]  # fmt: skip
)
_DETERMINERS = frozenset([
    "the", "a", "an", "this", "that", "these", "those", "my", "your", "his", "her", "its", "our", "their",
    "it", "him", "them", "me", "us",
])  # fmt: skip

# Word: (as a noun or adjective, as a verb).
_BY_PART_OF_SPEECH: dict[str, tuple[str, str]] = {
    "record": ("R EH1 K ER0 D", "R IH0 K AO1 R D"),
    "records": ("R EH1 K ER0 D Z", "R IH0 K AO1 R D Z"),
    "present": ("P R EH1 Z AH0 N T", "P R IY0 Z EH1 N T"),
    "object": ("AA1 B JH EH0 K T", "AH0 B JH EH1 K T"),
    "project": ("P R AA1 JH EH0 K T", "P R AH0 JH EH1 K T"),
    "produce": ("P R OW1 D UW0 S", "P R AH0 D UW1 S"),
    "conduct": ("K AA1 N D AH0 K T", "K AH0 N D AH1 K T"),
    "contract": ("K AA1 N T R AE2 K T", "K AH0 N T R AE1 K T"),
    "permit": ("P ER1 M IH2 T", "P ER0 M IH1 T"),
    "refuse": ("R EH1 F Y UW2 Z", "R AH0 F Y UW1 Z"),
    "use": ("Y UW1 S", "Y UW1 Z"),
    "excuse": ("IH0 K S K Y UW1 S", "IH0 K S K Y UW1 Z"),
    "house": ("HH AW1 S", "HH AW1 Z"),
    "abuse": ("AH0 B Y UW1 S", "AH0 B Y UW1 Z"),
    "separate": ("S EH1 P ER0 AH0 T", "S EH1 P ER0 EY2 T"),
    "estimate": ("EH1 S T AH0 M AH0 T", "EH1 S T AH0 M EY2 T"),
    "desert": ("D EH1 Z ER0 T", "D IH0 Z ER1 T"),
    "progress": ("P R AA1 G R EH2 S", "P R AH0 G R EH1 S"),
    "conflict": ("K AA1 N F L IH0 K T", "K AH0 N F L IH1 K T"),
    "insult": ("IH1 N S AH2 L T", "IH2 N S AH1 L T"),
    "rebel": ("R EH1 B AH0 L", "R IH0 B EH1 L"),
    "subject": ("S AH1 B JH IH0 K T", "S AH0 B JH EH1 K T"),
    "suspect": ("S AH1 S P EH2 K T", "S AH0 S P EH1 K T"),
    "increase": ("IH1 N K R IY2 S", "IH2 N K R IY1 S"),
    "import": ("IH1 M P AO2 R T", "IH2 M P AO1 R T"),
    "export": ("EH1 K S P AO0 R T", "IH2 K S P AO1 R T"),
    "wind": ("W IH1 N D", "W AY1 N D"),
    "wound": ("W UW1 N D", "W UW1 N D"),
    "bass": ("B EY1 S", "B EY1 S"),
}
# Words that are verbs after nothing in particular: "Refuse it", "Permit me".
_VERB_FIRST = frozenset(("refuse", "permit", "produce", "excuse"))


def pronounce_heteronym(words: Sequence[str], i: int) -> Phonemes | None:
    """Phonemes of ``words[i]`` (lower case; marks and spelt-out phonemes are "") by its neighbours, or None if
    it has one sound only."""
    word = words[i]
    before = words[max(0, i - 3) : i]
    previous = before[-1] if before else ""
    following = words[i + 1] if i + 1 < len(words) else ""
    if word in _BY_PART_OF_SPEECH:
        noun, verb = _BY_PART_OF_SPEECH[word]
        is_verb = previous in _VERB_CUES or (word in _VERB_FIRST and previous == "")
        is_verb = is_verb or (previous == "" and following in _DETERMINERS and word != "present")
        return tuple((verb if is_verb else noun).split())
    sounds = _special_case(word, before, previous, following)
    return tuple(sounds.split()) if sounds else None


def _special_case(word: str, before: Sequence[str], previous: str, following: str) -> str | None:
    match word:
        case "read":
            past = previous not in _VERB_CUES - {"who"} and any(w in _PAST_CUES for w in before)
            return "R EH1 D" if past else "R IY1 D"
        case "lead":
            return "L EH1 D" if following in ("pipe", "pipes", "paint", "poisoning") else "L IY1 D"
        case "live":
            adjective = previous in ("a", "is", "are", "it's", "go", "goes", "going", "broadcast", "was")
            return "L AY1 V" if adjective else "L IH1 V"
        case "close":
            verb = previous in _VERB_CUES or (following in _DETERMINERS and following != "to")
            return "K L OW1 Z" if verb else "K L OW1 S"
        case "tear":
            return "T IH1 R" if previous in ("a", "single", "every", "no") and following != "in" else "T EH1 R"
        case "tears":
            return "T IH1 R Z"
        case "used":
            passive = previous in _PAST_CUES - {"he", "she", "it", "who"}
            return "Y UW1 S T" if following == "to" and not passive else None
    return None
