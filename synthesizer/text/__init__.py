"""Text to the symbol ids that a synthesizer reads; knows no network, no sound and no files of models."""

from typing import Protocol

from audio.errors import TextError

from .split import Segment, split_text

__all__ = ["FRONT_ENDS", "Segment", "TextFrontEnd", "get_front_end", "split_text"]

FRONT_ENDS = ("arpabet", "rtvc")


class TextFrontEnd(Protocol):
    """What a synthesizer needs of its front end: a named, ordered symbol set and an encoder into it."""

    @property
    def name(self) -> str: ...

    @property
    def symbols(self) -> tuple[str, ...]: ...

    @property
    def ends_in_mark(self) -> bool:
        """Whether all that its models were trained on ended in a punctuation mark."""
        ...

    @property
    def pad_id(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """Ids into ``symbols``, ending in the end id. Raises TextError when there is nothing to say."""
        ...


def get_front_end(name: str) -> TextFrontEnd:
    """The front end called ``name``: "arpabet" (phonemes) or "rtvc" (letters).

    Raises TextError for another name. Each call makes a new object with its own dictionary: keep it.
    """
    if name == "arpabet":
        from .arpabet import ArpabetFrontEnd

        return ArpabetFrontEnd()
    if name == "rtvc":
        from .rtvc import RtvcFrontEnd

        return RtvcFrontEnd()
    raise TextError(f'There is no text front end called "{name}". Known: {", ".join(FRONT_ENDS)}.')
