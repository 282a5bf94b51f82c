"""The distribution of people's embeddings, and the one that is shipped."""

import json

import numpy as np
import pytest

from models.registry import ModelRegistry
from toolbox import voice_space
from toolbox.provenance import file_sha256
from training.manifest import ManifestEntry


def test_drawn_voices_are_spread_as_those_it_was_fitted_to():
    rng = np.random.default_rng(0)
    kind = rng.random(64) + 0.5
    voices = [voice_space.unit(np.maximum(kind + 0.4 * rng.standard_normal(64), 0)) for _ in range(400)]
    space = voice_space.fit(voices, "abc")
    drawn = np.stack([space.draw(rng) for _ in range(400)])
    assert drawn.dtype == np.float32 and drawn.min() == 0.0
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(drawn.mean(axis=0), np.mean(voices, axis=0), atol=0.03)
    assert _alike(drawn) == pytest.approx(_alike(np.stack(voices)), abs=0.05)
    assert _alike(np.stack([voice_space.uniform(64, rng) for _ in range(400)])) < _alike(drawn) - 0.2


def test_it_is_kept_in_a_file(tmp_path):
    rng = np.random.default_rng(0)
    space = voice_space.fit([voice_space.uniform(64, rng) for _ in range(60)], "abc")
    voice_space.save(space, tmp_path / "voices.npz")
    with np.load(tmp_path / "voices.npz", allow_pickle=False) as file:
        assert str(file["encoder"]) == "abc" and file["axes"].shape == (voice_space.AXES, 64)
        np.testing.assert_allclose(file["deviations"], space.deviations, rtol=1e-3)


def test_the_shipped_one_is_of_the_default_encoder():
    space = voice_space.voice_space()
    assert space.mean.shape == (256,) and space.axes.shape == (voice_space.AXES, 256)
    assert len(space.encoder) == 16 and _default_encoder().sha256.startswith(space.encoder)
    np.testing.assert_allclose(space.axes @ space.axes.T, np.eye(voice_space.AXES), atol=5e-3)


@pytest.mark.parametrize("leave_out", [[], ["--leave_out", "part0"]])
def test_the_command_takes_the_mean_of_each_speaker(leave_out, tmp_path, monkeypatch, capsys):
    (tmp_path / "embeds").mkdir()
    entries = [
        ManifestEntry(f"{speaker}-{clip}", speaker, split=split)
        for split, speakers in (("part0", ("a", "b")), ("part1", ("c", "d", "c-90")))
        for speaker in speakers
        for clip in range(2)
    ]
    for number, entry in enumerate(entries):
        np.save(tmp_path / "embeds" / f"{entry.id}.npy", np.eye(16, dtype=np.float32)[number])
    lines = [json.dumps(entry.to_dict()) for entry in entries]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "encoder.pt").write_bytes(b"x")
    kept = []
    monkeypatch.setattr(voice_space, "save", kept.append)
    assert voice_space.main([str(tmp_path), str(tmp_path / "encoder.pt"), *leave_out]) == 0
    assert f"{2 if leave_out else 4} voices" in capsys.readouterr().out
    assert kept[0].encoder == file_sha256(tmp_path / "encoder.pt")
    assert np.count_nonzero(kept[0].mean) == (4 if leave_out else 8)


def _default_encoder():
    return next(model.entry for model in ModelRegistry().catalog if "encoder" in model.aliases)


def _alike(voices):
    cosines = voices @ voices.T
    return float(cosines[~np.eye(len(voices), dtype=bool)].mean())
