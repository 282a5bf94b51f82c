"""Griffin-Lim as a vocoder: no network, no file, a robotic but faithful voice; the arithmetic is audio.mel's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from audio.errors import AudioError
from audio.mel import SYNTHESIZER_MEL, MelConfig, griffin_lim


class GriffinLimVocoder:
    """Sound from a mel spectrogram by iterated phase estimation (Griffin and Lim 1984)."""

    name = "griffin-lim"

    def __init__(self, cfg: MelConfig = SYNTHESIZER_MEL, n_iter: int = 60) -> None:
        self.cfg = cfg
        self.n_iter = n_iter

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.cfg.sample_rate

    def vocode(
        self,
        mel: npt.NDArray[np.floating],
        *,
        seed: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """mel (n_mels, T) as MelTransform gives it -> wav (hop_length * max(T - 1, 1),) float32.

        seed: of the first phases, None = 0. Raises AudioError for a mel without frames or of another shape.
        """
        mel = check_mel(mel, self.cfg.n_mels)
        if mel.shape[1] == 1:
            mel = np.repeat(mel, 2, axis=1)
        return griffin_lim(mel, self.cfg, self.n_iter, seed or 0, progress)

    def stream(
        self,
        mel: npt.NDArray[np.floating],
        *,
        seed: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[npt.NDArray[np.float32]]:
        """What `vocode` returns, as one piece: every iteration changes all of it."""
        mel = check_mel(mel, self.cfg.n_mels)
        return (self.vocode(mel, seed=seed, progress=progress) for _ in range(1))


def check_mel(mel: npt.NDArray[np.floating], n_mels: int) -> npt.NDArray[np.float32]:
    """mel as float32 (n_mels, T), T >= 1; raises AudioError when it is none or holds NaN or infinity."""
    mel = np.asarray(mel, dtype=np.float32)
    if mel.ndim != 2 or mel.shape[0] != n_mels or mel.shape[1] == 0:
        raise AudioError(
            f"A mel spectrogram of shape ({n_mels}, frames) is needed to make sound, not {mel.shape}: use a "
            "synthesizer and a vocoder that belong together."
        )
    if not np.isfinite(mel).all():
        raise AudioError("The mel spectrogram holds values that are not numbers: synthesize it again.")
    return mel
