"""The Tacotron against the original's values, its gradients, and its independence of the batch."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from audio.errors import ModelError
from synthesizer.config import TacotronConfig
from synthesizer.generation import generate
from synthesizer.network import Tacotron
from tests.seeded import seeded_state


def relative(actual: torch.Tensor, expected) -> float:
    expected = torch.as_tensor(expected)
    assert actual.shape == expected.shape
    return float((actual - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="module")
def original(reference) -> Tacotron:
    """The default size with the seeded weights of the reference values, dropout off."""
    network = Tacotron(TacotronConfig(dropout=0.0)).eval()
    layouts = reference("layouts.json")
    state = network.state_dict()
    assert [[n, list(t.shape), str(t.dtype)[6:]] for n, t in state.items()] == layouts["layouts"]["synthesizer"]
    network.load_state_dict(state | seeded_state("synthesizer", layouts))
    network.r = 2
    return network


def test_teacher_forced_values_are_the_originals(original, reference):
    values = reference("synthesizer.npz")
    ids = torch.from_numpy(values["ids"])[None]
    with torch.no_grad():
        out = original(
            ids,
            torch.tensor([ids.shape[1]]),
            torch.from_numpy(values["teacher_mel"]),
            torch.from_numpy(values["speaker_embedding"]),
        )
    assert relative(out.mels, values["tf_mel"]) < 1e-4
    assert relative(out.mels_post, values["tf_postnet"]) < 1e-4
    assert relative(out.attention, values["tf_attention"]) < 1e-4
    assert relative(torch.sigmoid(out.stop_logits).repeat_interleave(2, 1), values["tf_stop"]) < 1e-4


def test_free_running_values_are_the_originals(original, reference):
    values = reference("synthesizer.npz")
    line = generate(
        original,
        [values["ids"].tolist()],
        torch.from_numpy(values["speaker_embedding"]),
        seeds=[0],
        max_frames=[60],
        dropout=0.0,
    )[0]
    assert line.stopped
    assert relative(torch.from_numpy(line.mel_decoder), values["gen_mel"][0]) < 1e-3
    assert relative(torch.from_numpy(line.mel), values["gen_postnet"][0]) < 1e-3
    assert relative(torch.from_numpy(line.attention), values["gen_attention"][0]) < 1e-3


def batch(lengths=(9, 7, 5), frames=12):
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(2, 60, (len(lengths), max(lengths)), generator=generator)
    for row, length in enumerate(lengths):
        ids[row, length:] = 0
    mels = torch.rand(len(lengths), 80, frames, generator=generator) * 8 - 4
    embeds = F.normalize(torch.rand(len(lengths), 256, generator=generator), dim=1)
    return ids, torch.tensor(lengths), mels, embeds


def test_padding_gets_no_attention_and_changes_nothing(tiny):
    network = Tacotron(dataclasses.replace(tiny.cfg, dropout=0.0)).eval()
    ids, lengths, mels, embeds = batch()
    frame_lengths = torch.tensor([12, 10, 8])
    with torch.no_grad():
        together = network(ids, lengths, mels, embeds, frame_lengths)
        for row, (length, frames) in enumerate(zip(lengths.tolist(), frame_lengths.tolist(), strict=True)):
            one = slice(row, row + 1)
            alone = network(ids[one, :length], lengths[one], mels[one, :, :frames], embeds[one])
            assert torch.all(together.attention[row, :, length:] == 0)
            assert torch.allclose(together.attention[row, : frames // 2, :length], alone.attention[0], atol=1e-5)
            assert torch.allclose(together.mels[row, :, :frames], alone.mels[0], atol=1e-4)
            # The post-net reads the frames before the end only.
            post = network.refine(together.mels[one, :, :frames])[0]
            assert torch.allclose(together.mels_post[row, :, :frames], post, atol=1e-4)


def test_config_survives_json_and_is_read_off_the_shapes(tiny):
    assert TacotronConfig.from_dict(tiny.cfg.to_dict()) == tiny.cfg
    read = TacotronConfig.from_state_dict(tiny.state_dict())
    assert dataclasses.replace(read, symbols=tiny.cfg.symbols) == tiny.cfg
    with pytest.raises(ModelError, match="colour"):
        TacotronConfig.from_dict({"colour": 1})
    with pytest.raises(ModelError, match="reduction factor"):
        TacotronConfig(r=0)
