"""The speaker encoder's network: mel frames to a unit vector; knows no files, devices or sound."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audio.errors import ModelError
from encoder.config import EncoderConfig

# A projection that the ReLU zeroes entirely must not divide by zero.
NORM_FLOOR = 1e-5
# log10 of mel power at RTVC's level of speech, -30 dBFS: about -3.5 +- 1.75; the floor lies below rooms' noise.
LOG_FLOOR, LOG_MEAN, LOG_DEVIATION = 1e-7, -3.5, 1.75


class SpeakerEncoder(nn.Module):
    """LSTM, linear, ReLU, L2 norm (GE2E section 2.1; the ReLU is the original program's).

    The scale and bias of the GE2E similarity (equation 5) are part of the state dict because original
    checkpoints keep them there; ``encoder.loss`` uses them.
    """

    def __init__(self, cfg: EncoderConfig) -> None:
        super().__init__()
        if cfg.mel_n != cfg.mel.n_mels:
            raise ModelError(
                f"The encoder reads {cfg.mel_n} mel bands but its sound settings make {cfg.mel.n_mels}: "
                "set mel_n and mel.n_mels to the same number."
            )
        self.cfg = cfg
        self.lstm = nn.LSTM(cfg.mel_n, cfg.hidden, cfg.layers, batch_first=True)
        self.linear = nn.Linear(cfg.hidden, cfg.embed)
        self.similarity_weight = nn.Parameter(torch.tensor([10.0]))
        self.similarity_bias = nn.Parameter(torch.tensor([-5.0]))

    def forward(self, mels: Tensor) -> Tensor:
        """Mel frames (B, T, mel_n) in power -> embeddings (B, embed): unit norm, all >= 0."""
        if self.cfg.log_mels:
            mels = ((mels.float() + LOG_FLOOR).log10() - LOG_MEAN) / LOG_DEVIATION
        _, (hidden, _) = self.lstm(mels)
        # Normalised in float32: under bf16 autocast a unit norm would be off by up to 0.4 %.
        raw = torch.relu(self.linear(hidden[-1])).float()
        return raw / raw.norm(dim=1, keepdim=True).clamp_min(NORM_FLOOR)
