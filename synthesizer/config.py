"""The sizes and settings that define a Tacotron; knows no tensors beyond the shapes that it reads sizes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from audio.errors import ModelError
from audio.mel import SYNTHESIZER_MEL, MelConfig
from synthesizer.detail import DetailConfig


@dataclass(frozen=True)
class TacotronConfig:
    """Defaults are the sizes of the public RTVC synthesizer."""

    front_end: str = "rtvc"
    """Name of the text front end (``synthesizer.text.get_front_end``)."""
    symbols: tuple[str, ...] = ()
    """The front end's symbols in the order of their ids; the embedding table has one row each."""
    n_symbols: int = 66
    embed_dims: int = 512
    encoder_dims: int = 256
    encoder_kernels: int = 5
    decoder_dims: int = 128
    """Width of the attention; the decoder's pre-net is twice as wide."""
    lstm_dims: int = 1024
    postnet_dims: int = 512
    postnet_kernels: int = 5
    highways: int = 4
    attention_filters: int = 32
    attention_kernel: int = 31
    dropout: float = 0.5
    """Of both pre-nets; the decoder's stays on at inference (Tacotron 2, section 2.2)."""
    lstm_dropout: float = 0.0
    """Of what each of the decoder's LSTMs is given and adds, in training: against learning a small corpus by heart."""
    speaker_embedding_size: int = 256
    max_r: int = 20
    r: int = 2
    """Frames a decoder step makes at inference; the checkpoint's ``decoder.r`` decides once loaded."""
    stop_threshold: float = -3.4
    """Frames whose every band is below this are trimmed from the end."""
    contrast: float = 1.0
    """Power to which the amplitudes of what was spoken are raised, against the blur of a short training."""
    stretch: float = 1.0
    """How many times as long as the decoder made them mels become, for one that learned from fast readers. A detailer
    gives back what this blurs."""
    detail: DetailConfig | None = None
    """Sizes of the detailer that works on what the post-net makes; None: there is none."""
    mel: MelConfig = field(default=SYNTHESIZER_MEL)

    def __post_init__(self) -> None:
        if self.symbols and len(self.symbols) != self.n_symbols:
            raise ModelError(f"n_symbols is {self.n_symbols}, but {len(self.symbols)} symbols are listed.")
        if not 1 <= self.r <= self.max_r:
            raise ModelError(f"The reduction factor r must be between 1 and {self.max_r}, not {self.r}.")
        if not 0.0 <= self.lstm_dropout < 1.0:
            raise ModelError(f"lstm_dropout must be in [0, 1), not {self.lstm_dropout}.")
        if not 0.0 < self.contrast <= 4.0:
            raise ModelError(f"contrast must be above 0 and at most 4, not {self.contrast}.")
        if not 0.5 <= self.stretch <= 2.0:
            raise ModelError(f"stretch must be between 0.5 and 2, not {self.stretch}.")

    @property
    def n_mels(self) -> int:
        return self.mel.n_mels

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"mel": self.mel.to_dict(), "symbols": list(self.symbols)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TacotronConfig:
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ModelError(f"Unknown synthesizer settings: {', '.join(sorted(unknown))}.")
        values = dict(values)
        if "mel" in values:
            values["mel"] = MelConfig.from_dict(values["mel"])
        if values.get("detail") is not None:
            values["detail"] = DetailConfig.from_dict(values["detail"])
        values["symbols"] = tuple(values.get("symbols", ()))
        return cls(**values)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> TacotronConfig:
        """Read the sizes of an original RTVC synthesizer off its tensors' shapes."""
        n_symbols, embed_dims = state["encoder.embedding.weight"].shape
        encoder_dims = state["encoder.pre_net.fc1.weight"].shape[0]
        mel_rows, lstm_dims = state["decoder.mel_proj.weight"].shape
        decoder_dims, encoder_width = state["encoder_proj.weight"].shape
        filters, _, kernel = state["decoder.attn_net.conv.weight"].shape
        n_mels = state["decoder.prenet.fc1.weight"].shape[1]
        return cls(
            front_end="rtvc",
            n_symbols=n_symbols,
            embed_dims=embed_dims,
            encoder_dims=encoder_dims,
            encoder_kernels=_count(state, "encoder.cbhg.conv1d_bank.{}.conv.weight"),
            decoder_dims=decoder_dims,
            lstm_dims=lstm_dims,
            postnet_dims=state["post_proj.weight"].shape[1],
            postnet_kernels=_count(state, "postnet.conv1d_bank.{}.conv.weight"),
            highways=_count(state, "postnet.highways.{}.W1.weight"),
            attention_filters=filters,
            attention_kernel=kernel,
            speaker_embedding_size=encoder_width - encoder_dims,
            max_r=mel_rows // n_mels,
            r=int(state["decoder.r"]),
            stop_threshold=round(float(state["stop_threshold"]), 6),
        )


def _count(state: Mapping[str, Any], pattern: str) -> int:
    count = 0
    while pattern.format(count) in state:
        count += 1
    return count
