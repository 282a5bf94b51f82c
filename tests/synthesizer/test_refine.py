"""Drafts and the adversarial training of a post-net, through the real commands."""

import numpy as np
import pytest
import torch

from audio.errors import TrainingError
from models.checkpoint import load_training_state, read_checkpoint, write_checkpoint
from models.registry import ModelRegistry
from synthesizer import drafts, refine
from synthesizer.dataset import SynthesizerDataset
from synthesizer.refine_task import DraftDataset, MelDiscriminator, RefineBatch, RefineConfig, RefineTask
from synthesizer.text import get_front_end
from tests.synthesizer.conftest import TINY
from training.corpus import read_manifest


@pytest.fixture
def model(tiny, tmp_path):
    path = tmp_path / "model.safetensors"
    write_checkpoint(
        path, kind="synthesizer", architecture="tacotron", config=TINY.to_dict(), state=tiny.state_dict(), card={}
    )
    return path


@pytest.fixture
def drafted(data, model):
    assert drafts.main([str(data), str(model), "--device", "cpu", "-n", "1"]) == 0
    return data


def test_a_draft_is_the_decoders_mel_of_its_own_frames(data, tiny):
    for module in tiny.modules():
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
    batch = SynthesizerDataset(data, read_manifest(data), get_front_end("rtvc")).collate([0, 2], 2, None)
    once = tiny(batch.ids, batch.lengths, batch.mels, batch.embeds, batch.frame_lengths).mels
    twice = tiny(batch.ids, batch.lengths, once, batch.embeds, batch.frame_lengths).mels
    torch.testing.assert_close(drafts.draft(tiny, batch, passes=1), once)
    torch.testing.assert_close(drafts.draft(tiny, batch, passes=2), twice)
    assert (once - twice).abs().max() > 1e-4


def test_every_clip_gets_a_draft_of_its_length_once(drafted, model):
    paths = sorted((drafted / drafts.DRAFTS).iterdir())
    assert [path.stem for path in paths] == sorted(entry.id for entry in read_manifest(drafted))
    for entry in read_manifest(drafted):
        assert np.load(drafted / drafts.DRAFTS / f"{entry.id}.npy").shape == (entry.frames, 80)
    before = [path.stat().st_mtime_ns for path in paths]
    assert drafts.write_drafts(drafted, model, device="cpu", processes=1).records == []
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_few_clips_are_of_all_speakers(data, model):
    drafts.write_drafts(data, model, clips=4, device="cpu", processes=1)
    assert {path.stem.split("-")[0] for path in (data / drafts.DRAFTS).iterdir()} == {"s0", "s1", "s2", "s3"}


def test_windows_belong_together_and_are_padded_with_silence(drafted):
    entries = read_manifest(drafted)
    for entry in entries:
        mel = np.load(drafted / "mels" / f"{entry.id}.npy")
        np.save(drafted / drafts.DRAFTS / f"{entry.id}.npy", mel.astype(np.float16) + np.float16(1))
    longest = max(entry.frames for entry in entries)
    data = DraftDataset(drafted, entries, longest)
    batch = data.batch(6, np.random.default_rng(0))
    inside = batch.mels > -4
    assert batch.mels.shape == (6, 80, longest)
    torch.testing.assert_close(batch.drafts[inside], batch.mels[inside] + 1, atol=4e-3, rtol=0)
    assert torch.equal(batch.drafts[~inside & (batch.drafts == -4)], batch.mels[~inside & (batch.drafts == -4)])
    assert torch.equal(batch.mels, data.batch(6, np.random.default_rng(0)).mels)


def test_a_draft_of_another_length_is_refused(drafted):
    entry = read_manifest(drafted)[0]
    np.save(drafted / drafts.DRAFTS / f"{entry.id}.npy", np.zeros((3, 80), np.float16))
    with pytest.raises(TrainingError, match="run synthesizer.drafts again"):
        DraftDataset(drafted, [entry], 8)


def test_training_changes_the_postnet_alone_and_resumes(drafted, model, tmp_path):
    def train(name, steps):
        flags = ["-m", str(tmp_path), "--device", "cpu", "--steps", str(steps), "--threads", "1", "-v", "2", "-s", "2"]
        small = ["batch_size=2", "window_frames=16", "judge_channels=2", "adversarial_from=1", "plot_every=0"]
        sets = [part for text in [*small, "validation_fraction=0.25"] for part in ("--set", text)]
        assert refine.main([name, str(drafted), str(model), *flags, *sets]) == 0
        return load_training_state(tmp_path / name / "last.pt")

    straight = train("straight", 4)
    train("resumed", 2)
    resumed = train("resumed", 4)
    for part in ("network", "adversary"):
        assert all(torch.equal(straight[part][name], value) for name, value in resumed[part].items())
    paths = (model, tmp_path / "straight" / "best.safetensors")
    before, after = (read_checkpoint(path, "synthesizer").state for path in paths)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith(("postnet.", "post_proj.")) for name in changed)
    ModelRegistry().load(paths[1], "synthesizer", torch.device("cpu"))


def test_without_drafts_it_says_what_to_run(data, model, tmp_path, capsys):
    assert refine.main(["run", str(data), str(model), "-m", str(tmp_path), "--device", "cpu"]) == 1
    assert "run synthesizer.drafts first" in capsys.readouterr().err


def test_the_judge_makes_a_smooth_mel_rough(drafted, tiny):
    """What the whole is for: with a judge the post-net's mels get closer to the roughness of real ones."""
    entries = read_manifest(drafted)
    torch.manual_seed(0)
    real = torch.sin(torch.arange(80.0) * 2.0)[None, :, None] + 0.3 * torch.randn(64, 80, 16)
    batch = RefineBatch(torch.zeros(64, 80, 16), real)

    def roughness(**weights):
        torch.manual_seed(1)
        cfg = RefineConfig(judge_channels=4, adversarial_from=0, distance_weight=0.0, envelope=(4, 4), **weights)
        task = RefineTask(drafted, cfg, tiny, entries, [])
        task.network.train()
        own = [p for p in tiny.parameters() if p.requires_grad]
        sides = [torch.optim.Adam(p, 5e-3) for p in (own, task.adversary.module.parameters())]
        for step in range(60):
            for side, loss in zip(sides, (task.loss, lambda _, b, s: task.adversary.loss(b, s)), strict=True):
                side.zero_grad()
                loss(tiny, batch, step)[0].backward()
                side.step()
        return float(task.loss(tiny, batch, 60)[1]["roughness"])

    state = {name: value.clone() for name, value in tiny.state_dict().items()}
    judged = roughness(adversarial_weight=1.0, feature_weight=1.0)
    tiny.load_state_dict(state)
    assert judged < 0.5 * roughness(adversarial_weight=0.0, feature_weight=0.0)


def test_the_judge_sees_mel_and_draft():
    judge = MelDiscriminator(4)
    mels, others = torch.randn(2, 80, 20), torch.randn(2, 80, 20)
    scores, features = judge(mels, others)
    assert scores.shape[0] == 2 and len(features) == 4
    assert not torch.equal(scores, judge(mels, mels)[0]) and not torch.equal(scores, judge(others, others)[0])
