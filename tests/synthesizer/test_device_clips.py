"""Batches gathered on a device are those that are padded on the CPU."""

import numpy as np
import pytest
import torch

from synthesizer.dataset import SynthesizerDataset
from synthesizer.device_clips import DECODER_STEPS, SYMBOLS, DeviceClips
from synthesizer.text import get_front_end
from training.corpus import read_manifest


@pytest.mark.parametrize("aligned", [False, True])
def test_a_gathered_batch_is_the_padded_one_and_longer(data, aligned):
    front_end = get_front_end("rtvc")
    if aligned:
        (data / "durations").mkdir()
        for entry in read_manifest(data):
            symbols = len(front_end.encode(entry.text))
            durations = np.bincount(np.arange(entry.frames) * symbols // entry.frames, minlength=symbols)
            np.save(data / "durations" / f"{entry.id}.npy", durations)
    dataset = SynthesizerDataset(data, read_manifest(data), front_end)
    r, clips = 3, [7, 2, 4]
    padded = dataset.collate(clips, r, np.random.default_rng(5))
    gathered = DeviceClips(dataset).draw(clips, r, np.random.default_rng(5)).to(torch.device("cpu"))
    frames, symbols = gathered.mels.shape[2], gathered.ids.shape[1]
    assert frames % (DECODER_STEPS * r) == 0 and symbols % SYMBOLS == 0
    for name, value in vars(padded).items():
        other = getattr(gathered, name)
        if value is None:
            assert other is None
            continue
        assert other.dtype == value.dtype
        torch.testing.assert_close(other[tuple(slice(size) for size in value.shape)], value, msg=name)
    assert torch.all(gathered.mels[:, :, padded.mels.shape[2] :] == -4)
    assert torch.all(gathered.ids[:, padded.ids.shape[1] :] == 0)
    assert torch.all(gathered.stop[:, padded.stop.shape[1] :] == 1)
    if aligned:
        torch.testing.assert_close(gathered.alignment.sum(-1), torch.ones(len(clips), frames // r))
