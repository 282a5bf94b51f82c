"""Free running: each line with its own randomness, end and limit."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from audio.errors import Cancelled
from synthesizer import generation
from synthesizer.generation import generate

IDS = [[5, 6, 7, 8, 9, 1], [10, 11, 1], [20, 21, 22, 23, 1]]
EMBEDS = F.normalize(torch.rand(3, 256, generator=torch.Generator().manual_seed(0)), dim=1)


def run(network, rows, **changes):
    arguments = {"seeds": [10 + r for r in rows], "max_frames": [20 + 10 * r for r in rows]} | changes
    return generate(network, [IDS[r] for r in rows], EMBEDS[rows], **arguments)


def never_stop(network):
    torch.nn.init.constant_(network.decoder.stop_proj.bias, -50.0)
    return network


def test_a_line_does_not_depend_on_its_batch(tiny):
    never_stop(tiny)
    together = run(tiny, [0, 1, 2])
    for row in range(3):
        alone = run(tiny, [row])[0]
        assert alone.mel.shape == together[row].mel.shape == (80, 20 + 10 * row)
        np.testing.assert_allclose(alone.mel, together[row].mel, atol=1e-4)
        np.testing.assert_allclose(alone.attention, together[row].attention, atol=1e-4)


def test_the_seed_decides(tiny):
    never_stop(tiny)
    first, again, other = (run(tiny, [0], seeds=[seed])[0].mel for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.allclose(first, other)


def test_lines_end_by_limit_or_by_stop_token(tiny):
    assert [line.stopped for line in run(never_stop(tiny), [0, 1])] == [False, False]
    torch.nn.init.constant_(tiny.decoder.stop_proj.bias, 50.0)
    line = run(tiny, [0])[0]
    # Not before ten frames, as the original: the step that begins at frame 12 is the last.
    assert line.stopped and line.mel.shape == (80, 14) and line.attention.shape == (7, len(IDS[0]))


def test_progress_counts_frames_and_can_cancel(tiny):
    seen = []
    run(never_stop(tiny), [0, 1], progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 30) and seen[-1] == (30, 30) and len(seen) == 16

    def cancel(done, total):
        if done >= 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(tiny, [0], progress=cancel)


@pytest.mark.parametrize("rows", [[0], [0, 1, 2]])
def test_the_same_with_and_without_the_kernel_and_the_second_thread(tiny, monkeypatch, rows):
    never_stop(tiny)
    before = torch.get_num_threads()
    made = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(run(tiny, rows))
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(generation, "_load_kernel", lambda: None)
    made.append(run(tiny, rows))
    for other in made[1:]:
        for line, same in zip(made[0], other, strict=True):
            np.testing.assert_allclose(line.mel, same.mel, atol=1e-5)
            np.testing.assert_allclose(line.attention, same.attention, atol=1e-6)


def test_the_loop_says_what_the_teacher_forced_pass_says(tiny):
    never_stop(tiny)
    alone = run(tiny, [2], dropout=0.0)[0]
    tiny.decoder.prenet.dropout = tiny.encoder.pre_net.dropout = 0.0
    frames = torch.from_numpy(alone.mel_decoder)[None]
    with torch.no_grad():
        forced = tiny.eval()(torch.tensor([IDS[2]]), torch.tensor([len(IDS[2])]), frames, EMBEDS[2:3])
    np.testing.assert_allclose(forced.mels[0].numpy(), alone.mel_decoder, atol=1e-5)
    np.testing.assert_allclose(forced.attention[0].numpy(), alone.attention, atol=1e-5)


def test_a_stop_token_within_a_block_ends_its_line_only(tiny):
    torch.nn.init.normal_(tiny.decoder.stop_proj.weight, std=20.0, generator=torch.Generator().manual_seed(1))
    torch.nn.init.zeros_(tiny.decoder.stop_proj.bias)
    together = run(tiny, [0, 1, 2], max_frames=[60] * 3)
    steps = [len(line.attention) for line in together]
    assert any(n % generation.BLOCK and n < max(steps) for n in steps), steps
    for row, line in enumerate(together):
        alone = run(tiny, [row], max_frames=[60])[0]
        assert alone.stopped == line.stopped and line.mel.shape == alone.mel.shape == (80, 2 * steps[row])
        np.testing.assert_allclose(alone.mel, line.mel, atol=1e-4)


def test_the_compiled_product_is_a_product():
    kernel = pytest.importorskip("synthesizer.kernel")
    rng = np.random.default_rng(0)
    wide, matrix = rng.standard_normal((3, 40), dtype=np.float32), rng.standard_normal((24, 50), dtype=np.float32)
    out = rng.standard_normal((3, 50), dtype=np.float32)
    expected = out + wide[:, 16:] @ matrix
    kernel.accumulate(out, wide[:, 16:], matrix)
    np.testing.assert_allclose(out, expected, atol=1e-5)
