"""Batches: pure functions of (seed, step, rank), pieces of long recordings, held-out speakers, channels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.errors import TrainingError
from encoder.augment import AugmentConfig, augment
from encoder.dataset import BatchConfig, SpeakerDataset, cut_pieces, hold_out, mel_path, usable_entries
from training.corpus import ManifestEntry

FRAMES = 20


def write_corpus(root: Path, lengths: dict[str, list[int]]) -> list[ManifestEntry]:
    """Mels whose first band holds the speaker's number and whose second band counts frames."""
    entries = []
    for number, (speaker, all_frames) in enumerate(lengths.items()):
        for index, frames in enumerate(all_frames):
            entry = ManifestEntry(id=f"{speaker}-{index}", speaker=speaker, frames=frames)
            mel = np.ones((frames, 40), dtype=np.float32)
            mel[:, 0], mel[:, 1], mel[:, 2] = number, np.arange(frames), index
            path = mel_path(root, entry)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, mel)
            entries.append(entry)
    return entries


@pytest.fixture
def corpus(tmp_path) -> tuple[Path, list[ManifestEntry]]:
    return tmp_path, write_corpus(tmp_path, {f"s{i}": [30 + i, 25, 60] for i in range(6)})


def make_dataset(corpus, seed=0, augmentation=None, **changes) -> SpeakerDataset:
    root, entries = corpus
    cfg = BatchConfig(**{"speakers": 3, "utterances": 4, "piece_frames": 25, **changes})
    return SpeakerDataset(root, entries, cfg, frames=FRAMES, seed=seed, augmentation=augmentation)


def test_a_batch_is_a_pure_function_of_seed_step_and_rank(corpus):
    noisy = AugmentConfig(probability=0.5)
    first, second = make_dataset(corpus, augmentation=noisy), make_dataset(corpus, augmentation=noisy)
    first.batch(0)
    first.batch(7)
    assert torch.equal(first.batch(3).mels, second.batch(3).mels)
    assert not torch.equal(first.batch(3).mels, first.batch(4).mels)
    assert not torch.equal(first.batch(3, 0, 2).mels, first.batch(3, 1, 2).mels)
    assert not torch.equal(first.batch(3).mels, make_dataset(corpus, seed=1, augmentation=noisy).batch(3).mels)


def test_the_order_of_the_manifest_does_not_matter(corpus):
    root, entries = corpus
    assert torch.equal(make_dataset(corpus).batch(5).mels, make_dataset((root, entries[::-1])).batch(5).mels)


def test_rows_are_speaker_after_speaker_in_contiguous_frames(corpus):
    batch = make_dataset(corpus).batch(0)
    assert batch.mels.shape == (12, FRAMES, 40)
    who = batch.mels[:, :, 0].reshape(3, 4 * FRAMES)
    assert (who == who[:, :1]).all()
    assert len(set(who[:, 0].tolist())) == 3
    assert (batch.mels[:, 1:, 1] - batch.mels[:, :-1, 1] == 1).all()


def test_processes_get_different_speakers(corpus):
    dataset = make_dataset(corpus)
    ranks = [set(dataset.batch(2, rank, 2).mels[:, 0, 0].tolist()) for rank in range(2)]
    assert not ranks[0] & ranks[1]
    # With more processes than there are speakers for, each still gets a whole batch.
    assert all(dataset.batch(2, rank, 4).mels.shape == (12, FRAMES, 40) for rank in range(4))


def test_every_utterance_is_drawn_before_any_comes_again(corpus):
    batch = make_dataset(corpus, utterances=3, piece_frames=0).batch(0)
    assert all(sorted(group.tolist()) == [0, 1, 2] for group in batch.mels[:, 0, 2].reshape(3, 3))


def test_one_long_recording_counts_as_several_utterances(tmp_path):
    corpus = tmp_path, write_corpus(tmp_path, {"a": [100], "b": [105], "short": [24]})
    dataset = make_dataset(corpus, speakers=64)
    assert dataset.speakers == ["a", "b"]
    starts = dataset.batch(0).mels[:, 0, 1].reshape(2, 4)
    # Four disjoint pieces each: no two crops of a speaker share a frame.
    assert (starts.sort(dim=1).values.diff(dim=1) >= FRAMES).all()
    with pytest.raises(TrainingError, match="0 speakers"):
        make_dataset(corpus, piece_frames=0)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2000), st.integers(1, 200), st.integers(0, 500))
def test_pieces_part_an_utterance_without_loss(frames, crop, piece):
    pieces = cut_pieces(Path("x"), frames, crop, piece)
    assert (pieces == []) == (frames < crop)
    if pieces:
        assert pieces[0].start == 0 and pieces[-1].stop == frames
        assert all(a.stop == b.start for a, b in zip(pieces[:-1], pieces[1:], strict=True))
        assert all(p.stop - p.start >= crop for p in pieces)


def test_fixed_batches_hold_all_speakers_and_stay_the_same(corpus):
    dataset = make_dataset(corpus, speakers=4)
    batches = dataset.fixed_batches(rounds=2)
    assert [batch.speakers for batch in batches] == [3, 3, 3, 3]
    assert {int(v) for batch in batches[:2] for v in batch.mels[:, 0, 0]} == set(range(6))
    assert all(torch.equal(a.mels, b.mels) for a, b in zip(batches, dataset.fixed_batches(rounds=2), strict=True))
    assert not torch.equal(batches[0].mels, batches[2].mels)
    assert dataset.sample(5).speakers == 5
    assert dataset.sample(9).speakers == 6


def test_held_out_speakers_are_at_least_two_and_never_trained_on(corpus):
    _, entries = corpus
    train, validation = hold_out(entries, 0.05, seed=0)
    train_speakers, held_out = {e.speaker for e in train}, {e.speaker for e in validation}
    assert len(held_out) == 2 and not train_speakers & held_out
    assert len(train) + len(validation) == len(entries)
    assert hold_out(entries, 0.0, seed=0)[1] == []
    assert hold_out([e for e in entries if e.speaker in ("s0", "s1", "s2")], 0.3, seed=0)[1] == []


def test_speakers_with_too_little_speech_are_left_out():
    entries = [ManifestEntry(id="a-0", speaker="a", frames=60), ManifestEntry(id="b-0", speaker="b", frames=30)]
    cfg = BatchConfig(piece_frames=25)
    assert [entry.id for entry in usable_entries(entries, FRAMES, cfg)] == ["a-0"]


def test_missing_and_shortened_files_are_named(corpus):
    root, _ = corpus
    dataset = make_dataset(corpus, speakers=6, utterances=3, piece_frames=0)
    np.save(root / "s1" / "s1-0.npy", np.zeros((5, 40), np.float32))
    with pytest.raises(TrainingError, match="s1-0.npy is shorter"):
        dataset.batch(0)
    (root / "s1" / "s1-0.npy").unlink()
    with pytest.raises(TrainingError, match="encoder.preprocess again"):
        dataset.batch(0)


def test_batches_of_less_than_two_are_refused():
    for change in ({"speakers": 1}, {"utterances": 1}, {"piece_frames": -1}):
        with pytest.raises(TrainingError):
            BatchConfig(**change)


def test_channels_change_what_is_asked_and_keep_power_positive():
    mels = np.random.default_rng(0).gamma(1.0, 1.0, size=(40, 30, 40)).astype(np.float32)
    rng = np.random.default_rng(1)
    assert augment(mels, AugmentConfig(), rng) is mels
    heard = augment(mels, AugmentConfig(probability=0.5), rng)
    assert heard.shape == mels.shape and heard.dtype == np.float32
    assert (heard >= 0).all() and np.isfinite(heard).all()
    unchanged = (heard == mels).all(axis=(1, 2))
    assert 8 <= unchanged.sum() <= 32


def test_added_noise_has_the_asked_level():
    mels = np.ones((20, 100, 40), dtype=np.float32)
    cfg = AugmentConfig(probability=1.0, gain_db=0.0, filter_db=0.0, min_snr_db=10.0, max_snr_db=10.0)
    heard = augment(mels, cfg, np.random.default_rng(0))
    np.testing.assert_allclose(heard.mean(axis=(1, 2)), 1.1, rtol=1e-4)
    with pytest.raises(TrainingError):
        AugmentConfig(probability=2.0)
