"""The symbol sets that models are trained on, in their fixed order; knows nothing of text.

The position of a symbol is its id, and ids are baked into trained weights: append, never reorder.
"""

PAD = "_"
END = "~"
SPACE = " "

RTVC_SYMBOLS: tuple[str, ...] = (
    PAD,
    END,
    *"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    *"!'\"(),-.:;?",
    SPACE,
)

PUNCTUATION: tuple[str, ...] = ("!", ",", ".", ":", ";", "?", "-")

VOWELS: tuple[str, ...] = (
    "AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW",
)  # fmt: skip
CONSONANTS: tuple[str, ...] = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH",
    "V", "W", "Y", "Z", "ZH",
)  # fmt: skip

# As in CMUdict: 15 vowels with a stress digit (0 none, 1 primary, 2 secondary), 24 consonants; alphabetical.
PHONEMES: tuple[str, ...] = tuple(sorted((*(v + s for v in VOWELS for s in "012"), *CONSONANTS)))

ARPABET_SYMBOLS: tuple[str, ...] = (PAD, END, SPACE, *PUNCTUATION, *PHONEMES)
