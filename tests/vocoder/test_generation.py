import numpy as np
import pytest
import torch
from torch.nn import functional as F

from audio.errors import Cancelled
from vocoder import generation
from vocoder.folding import even_plan, fixed_plan
from vocoder.generation import Speaker, generate
from vocoder.wavernn_loop import SampleLoop


@pytest.mark.parametrize("changes", [{}, {"mode": "MOL"}, {"upsample_factors": (4, 5, 10)}])
def test_loop_gives_the_outputs_of_the_whole_pass(tiny_network, random_mel, changes):
    network = tiny_network(**changes)
    mel, x = torch.from_numpy(random_mel(5)) / 4, torch.rand(1, 1000) * 2 - 1
    with torch.inference_mode():
        expected = network(x, F.pad(mel, (2, 2), value=-1.0)[None])[0]
        loop = SampleLoop(network, mel)
        outputs = []
        for begin in range(0, 1000, 170):
            count = min(170, 1000 - begin)
            inputs = loop.conditioning(torch.tensor([begin]), count)
            for t in range(count):
                loop.state = (x[:, begin + t], *loop.state[1:])
                outputs.append(loop.step(inputs, t)[0])
    torch.testing.assert_close(torch.stack(outputs), expected, rtol=1e-4, atol=1e-4)


def test_folds_see_the_mel_of_their_own_place(tiny_network, random_mel):
    network = tiny_network()
    mel = torch.from_numpy(random_mel(9)) / 4
    with torch.inference_mode():
        loop = SampleLoop(network, mel)
        together = loop.conditioning(torch.tensor([0, 137, 800]), 350)
        for fold, start in enumerate([0, 137, 800]):
            alone = loop.conditioning(torch.tensor([start]), 350)
            for name in vars(alone):
                torch.testing.assert_close(getattr(together, name)[:, fold], getattr(alone, name)[:, 0])


@pytest.mark.parametrize("changes", [{}, {"mode": "MOL"}])
def test_same_seed_same_samples(tiny_network, random_mel, changes):
    speaker, mel = Speaker(tiny_network(**changes)), torch.from_numpy(random_mel(6)) / 4
    plan = even_plan(1000, 300, 50)
    first, again, other = (generate(speaker, mel, plan, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (1000,) and np.abs(first).max() <= 2**0.5


def test_many_folds_go_in_groups(tiny_network, random_mel, monkeypatch):
    monkeypatch.setattr(generation, "MAX_BATCH", 3)
    calls = []
    wav = generate(
        Speaker(tiny_network()), torch.from_numpy(random_mel(8)) / 4, fixed_plan(1400, 150, 20), seed=0,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    assert len(wav) == 1400 and np.isfinite(wav).all()
    assert calls == sorted(calls) and calls[-1][0] == calls[-1][1] == 9 * 190


def test_groups_do_not_change_the_samples(tiny_network, random_mel, monkeypatch):
    speaker, mel, plan = Speaker(tiny_network()), torch.from_numpy(random_mel(8)) / 4, fixed_plan(1400, 150, 20)
    together = generate(speaker, mel, plan, seed=0)
    monkeypatch.setattr(generation, "MAX_BATCH", 3)
    np.testing.assert_array_equal(generate(speaker, mel, plan, seed=0), together)


def test_cancelled_from_the_progress_ends_the_work(tiny_network, random_mel, monkeypatch):
    monkeypatch.setattr(generation, "BLOCK_SECONDS", 0.0)
    seen = []

    def progress(done, total):
        seen.append(done)
        if len(seen) == 2:
            raise Cancelled

    speaker, mel = Speaker(tiny_network()), torch.from_numpy(random_mel(8)) / 4
    with pytest.raises(Cancelled):
        generate(speaker, mel, even_plan(1400, 5000, 0), seed=0, progress=progress)
    assert seen == [16, 17]


def test_an_unknown_precision_is_refused(tiny_network):
    with pytest.raises(ValueError, match="float32, int16"):
        Speaker(tiny_network(), "int4")
