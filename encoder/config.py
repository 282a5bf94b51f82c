"""The sizes and settings of a speaker encoder, to and from JSON; knows no tensors' values and no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from audio.errors import ModelError
from audio.mel import ENCODER_MEL, MelConfig


@dataclass(frozen=True)
class EncoderConfig:
    """Defaults are those of the public checkpoint, so that its file loads unchanged."""

    mel_n: int = 40
    """Mel bands that the network reads; ``SpeakerEncoder`` refuses a number other than ``mel.n_mels``."""
    hidden: int = 256
    layers: int = 3
    embed: int = 256
    log_mels: bool = False
    """Whether the LSTM reads the logarithm of mel frames (GE2E section 3) or, as in the public model, their power."""
    partial_frames: int = 160
    """Length of a partial utterance in frames: what the network is trained on (1.6 s)."""
    partial_overlap: float = 0.5
    """Overlap of successive partial utterances, as a fraction of their length (GE2E section 2.2: 50 %)."""
    min_coverage: float = 0.75
    """The last partial utterance is kept when at least this fraction of it is sound and not padding."""
    mel: MelConfig = ENCODER_MEL

    def __post_init__(self) -> None:
        if min(self.mel_n, self.hidden, self.layers, self.embed, self.partial_frames) < 1:
            raise ModelError("Every size of an encoder must be at least 1.")
        if not 0.0 <= self.partial_overlap < 1.0 or not 0.0 < self.min_coverage <= 1.0:
            raise ModelError("partial_overlap must lie in [0, 1) and min_coverage in (0, 1].")

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; ``from_dict`` is the inverse."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "mel"}
        return {**fields, "mel": self.mel.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderConfig:
        """Missing entries take their defaults.

        Raises:
            ModelError: an entry that this version does not know.
        """
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise ModelError(
                f"Unknown encoder settings {', '.join(unknown)}: this model needs a newer version of the program."
            )
        fields = dict(values)
        if "mel" in fields and not isinstance(fields["mel"], MelConfig):
            fields["mel"] = MelConfig.from_dict(fields["mel"])
        return cls(**fields)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> EncoderConfig:
        """Sizes read from the shapes of a state dict that came without a config (original .pt files).

        Raises:
            ModelError: the state is not a speaker encoder's.
        """
        try:
            gates, mel_n = state["lstm.weight_ih_l0"].shape
            embed, hidden = state["linear.weight"].shape
        except (KeyError, ValueError, AttributeError) as error:
            raise ModelError(
                "This is not a speaker encoder: expected entries lstm.weight_ih_l0 and linear.weight."
            ) from error
        if gates != 4 * hidden:
            raise ModelError(f"Not a speaker encoder: {gates} LSTM gate rows do not fit a linear layer of {hidden}.")
        layers = sum(name.startswith("lstm.weight_ih_l") for name in state)
        mel = ENCODER_MEL if mel_n == ENCODER_MEL.n_mels else replace(ENCODER_MEL, n_mels=mel_n)
        return cls(mel_n=mel_n, hidden=hidden, layers=layers, embed=embed, mel=mel)
