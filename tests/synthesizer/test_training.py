"""Data, losses and a tiny training of the synthesizer, through the real commands."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from audio.errors import TrainingError
from audio.io import save_wav
from encoder.config import EncoderConfig
from encoder.network import SpeakerEncoder
from models.checkpoint import load_training_state, read_checkpoint, write_checkpoint
from synthesizer import preprocess as preprocessing
from synthesizer import train as training
from synthesizer.dataset import ENDS, PAUSES, BucketSampler, SynthesizerDataset, punctuate
from synthesizer.loss import guided_attention_loss, tacotron_losses
from synthesizer.network import TacotronOutput
from synthesizer.task import SynthesizerTask, SynthesizerTaskConfig
from synthesizer.text import get_front_end
from tests.synthesizer.conftest import TINY
from training.corpus import read_manifest
from training.trainer import Trainer, TrainerConfig


def dataset(data):
    return SynthesizerDataset(data, read_manifest(data), get_front_end("rtvc"))


def test_batches_are_padded_and_marked(data):
    items = dataset(data)
    batch = items.collate([0, 2], r=4, rng=None)
    assert batch.mels.shape[2] % 4 == 0 and batch.mels.shape[2] >= int(batch.frame_lengths.max())
    for row, index in enumerate((0, 2)):
        frames = items.items[index].frames
        assert int(batch.frame_lengths[row]) == frames + 4
        assert torch.all(batch.mels[row, :, frames:] == -4)
        assert batch.stop[row].tolist() == [float(n >= frames // 4) for n in range(batch.stop.shape[1])]
        assert torch.all(batch.ids[row, int(batch.lengths[row]) :] == 0)


def test_sampler_depends_on_step_alone_and_splits_among_ranks():
    lengths = np.random.default_rng(0).integers(10, 100, 200)
    make = lambda: BucketSampler(lengths, np.full(200, 1 / 200), 8, seed=1)  # noqa: E731
    straight = [make().indices(step) for step in range(60)]
    sampler = make()
    assert [sampler.indices(step) for step in (59, 3, 30)] == [straight[59], straight[3], straight[30]]
    spread = [np.ptp(lengths[batch]) for batch in straight]
    assert np.mean(spread) < 0.5 * np.ptp(lengths), "batches are of like length"
    four = BucketSampler(lengths, np.full(200, 1 / 200), 4, seed=1)
    assert sorted(four.indices(5, 0, 2) + four.indices(5, 1, 2)) == sorted(straight[5])


def test_split_weights_set_the_shares(data):
    weights = dataset(data).weights({"part0": 3.0, "part1": 1.0})
    inside = np.array([item.split == "part0" for item in dataset(data).items])
    assert weights[inside].sum() == pytest.approx(0.75)
    with pytest.raises(TrainingError, match="part0, part1"):
        dataset(data).weights({"nowhere": 1.0})


def test_guided_attention_likes_the_diagonal():
    diagonal = torch.eye(10)[None]
    lengths = steps = torch.tensor([10])
    assert guided_attention_loss(diagonal, lengths, steps) < 1e-6
    # By the equation: 1 - exp(-(0.9)^2 / (2 * 0.04)) for the far corner.
    corner = torch.zeros(1, 10, 10)
    corner[0, 0, 9] = 1.0
    expected = (1 - np.exp(-(0.9**2) / (2 * 0.2**2))) / 10
    assert guided_attention_loss(corner, lengths, steps).item() == pytest.approx(expected, rel=1e-5)


def test_losses_ignore_what_is_beyond_the_end():
    mels, frame_lengths = torch.rand(2, 80, 8), torch.tensor([8, 4])
    out = TacotronOutput(mels.clone(), mels.clone(), torch.eye(4).expand(2, 4, 4), torch.zeros(2, 4))
    out.mels[1, :, 4:] = 99.0
    losses = tacotron_losses(out, mels, frame_lengths, torch.zeros(2, 4), torch.tensor([4, 4]))
    assert losses.mel == 0 and losses.post == 0
    out.mels_post[1, :, 0] += 1.0
    # One frame of twelve is wrong by one: L1 and L2 are 1/12 each.
    again = tacotron_losses(out, mels, frame_lengths, torch.zeros(2, 4), torch.tensor([4, 4]))
    assert again.post.item() == pytest.approx(2 / 12, rel=1e-5)


def task(data, **changes):
    torch.manual_seed(0)
    cfg = SynthesizerTaskConfig(batch_size=4, r=((0, 2), (2, 3)), validation_fraction=0.25, **changes)
    return SynthesizerTask(data, cfg, dataclasses.replace(TINY, max_r=4))


def trainer(data, run_dir, steps):
    cfg = TrainerConfig(steps=steps, save_every=2, validate_every=2, plot_every=0, lr=((0, 1e-2),), seed=3)
    return Trainer(task(data), cfg, run_dir)


def test_two_steps_and_resume_equal_four_straight(data, tmp_path):
    assert trainer(data, tmp_path / "straight", 4).fit().step == 4
    trainer(data, tmp_path / "resumed", 2).fit()
    trainer(data, tmp_path / "resumed", 4).fit()
    states = [load_training_state(tmp_path / name / "last.pt")["network"] for name in ("straight", "resumed")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert int(states[0]["decoder.r"]) == 3, "the schedule lowers or raises r"


def test_training_writes_a_model_that_loads(data, tmp_path):
    trainer(data, tmp_path / "run", 4).fit()
    checkpoint = read_checkpoint(tmp_path / "run" / "best.safetensors", "synthesizer")
    assert checkpoint.architecture == "tacotron"
    assert checkpoint.config is not None and checkpoint.config["front_end"] == "rtvc"
    assert checkpoint.config["symbols"] == list(TINY.symbols)


def test_figures_and_samples(data):
    made = task(data)
    made.prepare_step(0)
    assert set(made.figures(1)) == {"attention", "mel"}
    wav, rate = made.samples(1)["teacher_forced"]
    assert rate == 16000 and np.isfinite(wav).all() and len(wav) > 1000


@pytest.fixture
def corpus(tmp_path, speechlike):
    """Two speakers with texts; one clip too short, one without text, one whose text is far too long for it."""
    root = tmp_path / "corpus"
    for speaker in ("ann", "bob"):
        (root / speaker).mkdir(parents=True)
        for clip in range(2):
            save_wav(root / speaker / f"{speaker}{clip}.wav", speechlike(2.0, seed=clip), 16000)
            (root / speaker / f"{speaker}{clip}.txt").write_text("hello there my friend")
    save_wav(root / "ann" / "short.wav", speechlike(0.4), 16000)
    (root / "ann" / "short.txt").write_text("hi")
    save_wav(root / "ann" / "rushed.wav", speechlike(2.0), 16000)
    (root / "ann" / "rushed.txt").write_text("far too many words " * 20)
    save_wav(root / "bob" / "silent.wav", speechlike(2.0), 16000)
    return root


@pytest.fixture
def encoder_file(tmp_path):
    cfg = EncoderConfig()
    return write_checkpoint(
        tmp_path / "encoder",
        kind="encoder",
        architecture="speaker_encoder",
        config=cfg.to_dict(),
        state=SpeakerEncoder(cfg).state_dict(),
        card={},
    )


def test_preprocess_reports_drops_varies_speakers_and_skips_what_exists(corpus, encoder_file, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [str(corpus), "-o", str(out), "-e", str(encoder_file), "-n", "1", "--vary", "bob=0.9"]
    assert preprocessing.main(arguments) == 0
    entries = {entry.id: entry for entry in read_manifest(out)}
    assert {e.speaker for e in entries.values()} == {"ann", "bob", "bob-90"} and len(entries) == 6
    reasons = [json.loads(line)["reason"] for line in (out / "dropped.jsonl").read_text().splitlines()]
    assert sorted(reasons) == ["read too fast", "too short"]
    for entry in entries.values():
        wav = np.load(out / "wavs" / f"{entry.id}.npy")
        mel, embed = (np.load(out / folder / f"{entry.id}.npy") for folder in ("mels", "embeds"))
        assert len(wav) == entry.samples and mel.shape == (entry.frames, 80) == (1 + entry.samples // 200, 80)
        assert np.linalg.norm(embed) == pytest.approx(1, abs=1e-5)
        level = 20 * np.log10(np.sqrt(np.mean(wav**2)))
        assert level == pytest.approx(-23, abs=0.5)
    before = (out / "mels" / f"{next(iter(entries))}.npy").stat().st_mtime_ns
    assert preprocessing.main(arguments) == 0
    assert (out / "mels" / f"{next(iter(entries))}.npy").stat().st_mtime_ns == before
    assert preprocessing.main([str(tmp_path / "none"), "-o", str(out)]) == 1
    assert "none" in capsys.readouterr().err


def test_the_train_command(data, tmp_path, capsys):
    tiny = {"embed_dims": 8, "encoder_dims": 8, "decoder_dims": 8, "lstm_dims": 8, "postnet_dims": 8}
    sizes = [f"--set=network.{k}={v}" for k, v in tiny.items()]
    command = ["run", str(data), "-m", str(tmp_path), "--steps", "2", "--device", "cpu", "--set", "batch_size=2"]
    assert training.main([*command, *sizes, "--set", "validation_fraction=0.25", "--set", "plot_every=0"]) == 0
    assert (tmp_path / "run" / "last.pt").is_file()
    card = json.loads((tmp_path / "run" / "best.json").read_text())
    assert card["config"]["front_end"] == "arpabet" and card["card"]
    # Another training begins where this one ended.
    first = str(tmp_path / "run" / "best.safetensors")
    tuned = ["tuned", *command[1:], *sizes, "--init", first, "--set", "lr=[[0,1e-9]]", "--set", "ema_decay=0"]
    assert training.main([*tuned, "--set", "validation_fraction=0.25", "--set", "plot_every=0"]) == 0
    weights = [read_checkpoint(tmp_path / run / "best.safetensors").state for run in ("run", "tuned")]
    assert torch.allclose(weights[0]["encoder.embedding.weight"], weights[1]["encoder.embedding.weight"], atol=1e-6)
    assert training.main([*command, "--set", "no_such_thing=1"]) == 1
    assert "no_such_thing" in capsys.readouterr().err


def test_pauses_become_marks_and_every_line_an_end():
    symbols = get_front_end("arpabet").symbols
    ids = np.array([symbols.index(s) for s in ("HH", "AY1", " ", "DH", "EH1", "R", " ", "Y", "UW1", "~")])
    durations = np.array([4, 9, 30, 3, 8, 7, 0, 5, 12, 6])
    seen = set()
    for seed in range(60):
        new_ids, new_durations = punctuate(ids, durations, symbols, seed)
        spoken = [symbols[i] for i in new_ids]
        assert spoken[2] in PAUSES and spoken[-2] in ENDS and len(spoken) == 12
        assert [s for s in spoken if s not in PAUSES + ENDS] == [symbols[i] for i in ids]
        assert new_durations[2] == 30 and new_durations[3] == 0, "the silence is the mark's"
        assert new_durations[-2:].tolist() == [6, 0] and new_durations.sum() == durations.sum()
        seen |= {spoken[2], spoken[-2]}
    assert seen == {*PAUSES, *ENDS}, "no mark is unknown to the network"
    # A transcript that has marks keeps them; without durations only the end is known.
    assert len(punctuate(new_ids, new_durations, symbols, 0)[0]) == 12
    assert len(punctuate(ids, None, symbols, 0)[0]) == 11
