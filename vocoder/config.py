"""The sizes and signal constants of the vocoders; knows no tensors beyond their shapes and no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import prod
from typing import Any, TypeVar

from torch import Tensor

from audio.errors import ModelError
from audio.mel import SYNTHESIZER_MEL, MelConfig

MOL_BITS = 16
MOL_MIXTURES = 10
AUX_SPLITS = 4
PRECISIONS = ("float32", "int16", "int8")
"""Of the compiled steps on a CPU, see ``vocoder.wavernn_compiled``."""

Config = TypeVar("Config", bound="WaveRNNConfig | WaveNetConfig | VocosConfig")


class VocoderForm:
    """What the configs of all vocoders, which are dataclasses, have in common."""

    mel_scale: float
    mel: MelConfig

    @property
    def hop_length(self) -> int:
        return self.mel.hop_length

    @property
    def n_mels(self) -> int:
        return self.mel.n_mels

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; ``from_dict`` is the inverse."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
        return {**values, **lists, "mel": self.mel.to_dict()}


class SampleForm(VocoderForm):
    """How a network that speaks sample by sample sees a sample, which the configs of such networks have in common."""

    bits: int
    mode: str
    mu_law: bool
    pad: int
    prediction: int
    matching: int

    @property
    def n_classes(self) -> int:
        """Width of the output layer: classes (RAW) or mixture parameters (MOL)."""
        return 2**self.bits if self.mode == "RAW" else 3 * MOL_MIXTURES

    @property
    def label_bits(self) -> int:
        """Bits of the integer samples that training stores: `bits` for RAW, 16 for MOL."""
        return self.bits if self.mode == "RAW" else MOL_BITS

    def _check_form(self, what: str) -> None:
        if self.mode not in ("RAW", "MOL"):
            raise ModelError(f"{what} mode {self.mode!r} is unknown; use RAW or MOL.")
        if not 2 <= self.bits <= 16:
            raise ModelError(f"{what} bits must lie between 2 and 16, not {self.bits}.")
        if self.prediction and not (0 < self.prediction < self.mel.n_fft // 2 and self.mel.scale == "db"):
            raise ModelError(f"{what} prediction must be an order below half of n_fft, for mels in dB; 0 is none.")
        if self.matching < 0 or (self.matching and self.mel.scale != "db"):
            raise ModelError(f"{what} matching must be a number of rounds, for mels in dB; 0 is none.")


def _from_dict(cls: type[Config], values: Mapping[str, Any], what: str) -> Config:
    known = {f.name for f in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ModelError(f"Unknown {what} settings {unknown}; known are {sorted(known)}.")
    given = dict(values)
    if isinstance(given.get("mel"), Mapping):
        given["mel"] = MelConfig.from_dict(given["mel"])
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{what} settings of the wrong type: {error}. Known are {sorted(known)}.") from error


@dataclass(frozen=True)
class WaveRNNConfig(SampleForm):
    """Sizes of the network and the form of the signal it speaks.

    `mode` "RAW" predicts one of 2**bits classes (mu-law companded when `mu_law`), "MOL" a mixture of ten discretised
    logistics over 16 bits. `upsample_factors` multiply to the hop length; `pad` is the number of mel frames of context
    on each side. The mels that enter the network are divided by `mel_scale`, so that they lie in [-1, 1]. With
    `prediction` the signal is the excitation of a linear predictor of that order (`vocoder.linear_prediction`). What
    was spoken is brought nearer to the mel in `matching` rounds (`vocoder.mel_matching`).
    """

    rnn_dims: int = 512
    fc_dims: int = 512
    bits: int = 9
    mode: str = "RAW"
    upsample_factors: tuple[int, ...] = (5, 5, 8)
    pad: int = 2
    compute_dims: int = 128
    res_out_dims: int = 128
    res_blocks: int = 10
    mu_law: bool = True
    prediction: int = 0
    matching: int = 0
    mel_scale: float = 4.0
    mel: MelConfig = field(default_factory=lambda: SYNTHESIZER_MEL)

    def __post_init__(self) -> None:
        object.__setattr__(self, "upsample_factors", tuple(int(s) for s in self.upsample_factors))
        sizes = (self.rnn_dims, self.fc_dims, self.compute_dims, self.res_out_dims, *self.upsample_factors)
        if min(sizes) < 1 or self.pad < 0 or self.res_blocks < 0:
            raise ModelError(f"Every size of a WaveRNN must be positive: {self.to_dict()}.")
        self._check_form("WaveRNN")
        if self.res_out_dims % AUX_SPLITS:
            raise ModelError(f"res_out_dims is split in {AUX_SPLITS} equal parts, which {self.res_out_dims} cannot be.")
        if prod(self.upsample_factors) != self.mel.hop_length:
            raise ModelError(
                f"upsample_factors {self.upsample_factors} multiply to {prod(self.upsample_factors)}, but a mel frame "
                f"is {self.mel.hop_length} samples; choose factors whose product is hop_length."
            )

    @property
    def aux_dims(self) -> int:
        return self.res_out_dims // AUX_SPLITS

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WaveRNNConfig:
        """The inverse of `to_dict`; settings that are absent keep their default, unknown ones raise ModelError."""
        return _from_dict(cls, values, "WaveRNN")

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> WaveRNNConfig:
        """Read the sizes from the shapes of a state dict; what shapes do not tell keeps the default.

        Thirty outputs mean MOL, a power of two means RAW. Raises ModelError when an entry that is needed is missing.
        """
        try:
            conv_in = tuple(state["upsample.resnet.conv_in.weight"].shape)
            res_out = state["upsample.resnet.conv_out.weight"].shape[0]
            rnn_dims = state["I.weight"].shape[0]
            n_out, fc_dims = state["fc3.weight"].shape
        except (KeyError, ValueError, IndexError) as error:
            raise ModelError(f"These weights are not a WaveRNN vocoder's: {error} is missing or misshapen.") from error
        if len(conv_in) != 3 or conv_in[2] % 2 == 0:
            raise ModelError(f"upsample.resnet.conv_in.weight has shape {conv_in}; expected (channels, mels, odd).")
        if n_out != 3 * MOL_MIXTURES and n_out & (n_out - 1):
            raise ModelError(f"The WaveRNN has {n_out} outputs; known are {3 * MOL_MIXTURES} (MOL) and powers of two.")
        ups = sorted(
            (int(name.split(".")[2]), tensor.shape[-1] // 2)
            for name, tensor in state.items()
            if name.startswith("upsample.up_layers.") and name.endswith(".weight")
        )
        blocks = {name.split(".")[3] for name in state if name.startswith("upsample.resnet.layers.")}
        factors = tuple(factor for _, factor in ups)
        mel = MelConfig(**{**SYNTHESIZER_MEL.to_dict(), "n_mels": conv_in[1], "hop_length": prod(factors)})
        mol = n_out == 3 * MOL_MIXTURES
        return cls(
            rnn_dims=rnn_dims,
            fc_dims=fc_dims,
            bits=cls.bits if mol else n_out.bit_length() - 1,
            mode="MOL" if mol else "RAW",
            upsample_factors=factors,
            pad=conv_in[2] // 2,
            compute_dims=conv_in[0],
            res_out_dims=res_out,
            res_blocks=len(blocks),
            mel=mel,
        )


@dataclass(frozen=True)
class WaveNetConfig(SampleForm):
    """Sizes of the network and the form of the signal it speaks; `mode`, `bits`, `mu_law`, `mel_scale`, `prediction`
    and `matching` are those of a WaveRNN.

    `layers` dilated convolutions of `kernel` taps are spread over `cycles`, in each of which the dilation doubles from
    1 on. `residual`, `gate` and `skip` are the channels between layers, of the gated units and of what all layers add
    up for the output. `local` channels describe the mel frame and `pad` frames on each side of it.
    """

    layers: int = 30
    cycles: int = 3
    kernel: int = 2
    residual: int = 64
    gate: int = 64
    skip: int = 64
    local: int = 80
    pad: int = 2
    bits: int = 8
    mode: str = "RAW"
    mu_law: bool = True
    prediction: int = 0
    matching: int = 0
    mel_scale: float = 4.0
    mel: MelConfig = field(default_factory=lambda: SYNTHESIZER_MEL)

    def __post_init__(self) -> None:
        self._check_form("WaveNet")
        sizes = (self.layers, self.cycles, self.residual, self.gate, self.skip, self.local, self.pad)
        if min(sizes) < 1 or self.kernel < 2:
            raise ModelError(f"Every size of a WaveNet must be positive and its kernel at least 2: {self.to_dict()}.")
        if self.layers % self.cycles:
            raise ModelError(f"{self.layers} layers cannot be shared out to {self.cycles} cycles evenly.")

    @property
    def dilations(self) -> tuple[int, ...]:
        """Distance in samples between the taps of each layer, (layers,)."""
        per_cycle = self.layers // self.cycles
        return tuple(2 ** (layer % per_cycle) for layer in range(self.layers))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WaveNetConfig:
        """The inverse of `to_dict`; settings that are absent keep their default, unknown ones raise ModelError."""
        return _from_dict(cls, values, "WaveNet")


@dataclass(frozen=True)
class VocosConfig(VocoderForm):
    """Sizes of the network and the `rounds` of Griffin-Lim that make its phases consistent."""

    dim: int = 256
    hidden: int = 768
    layers: int = 8
    kernel: int = 7
    rounds: int = 4
    mel_scale: float = 4.0
    mel: MelConfig = field(default_factory=lambda: SYNTHESIZER_MEL)

    def __post_init__(self) -> None:
        if min(self.dim, self.hidden, self.layers, self.kernel) < 1 or self.kernel % 2 == 0:
            raise ModelError(f"Every size of a Vocos must be positive and its kernel odd: {self.to_dict()}.")
        if self.rounds < 0:
            raise ModelError(f"A Vocos cannot have {self.rounds} rounds.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VocosConfig:
        """The inverse of `to_dict`; settings that are absent keep their default, unknown ones raise ModelError."""
        return _from_dict(cls, values, "Vocos")
