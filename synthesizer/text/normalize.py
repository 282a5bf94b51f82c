"""Written English to speakable words and punctuation; knows nothing of phonemes, symbols or ids."""

import re
import unicodedata

_UNSPEAKABLE = re.compile(r"[^A-Za-z' !,.:;?-]+")


def normalize_text(text: str) -> str:
    """``text`` as words (letters and apostrophes), spaces and the marks ``!,.:;?-``; may be empty."""
    text = unicodedata.normalize("NFKD", text).replace("\u2019", "'")
    return re.sub(r"\s+", " ", _UNSPEAKABLE.sub(" ", text)).strip()
