"""Free running: each line with its own randomness, end and limit."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from audio.errors import Cancelled
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
