"""Drafts, the flow that gives them detail, and its training through the real commands."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from audio.errors import ModelError, TrainingError
from models.checkpoint import load_training_state, read_checkpoint, write_checkpoint
from models.registry import ModelRegistry
from synthesizer import drafts, train_detail
from synthesizer.config import TacotronConfig
from synthesizer.dataset import DURATIONS, SynthesizerDataset
from synthesizer.detail import DetailConfig, Detailer
from synthesizer.detail_task import DetailTaskConfig, DraftDataset
from synthesizer.inference import Synthesizer, add_contrast, replace_fine_structure
from synthesizer.network import Tacotron
from synthesizer.text import get_front_end
from tests.synthesizer.conftest import TINY
from training.corpus import read_manifest

SMALL = DetailConfig(dims=16, hidden=32, layers=2, kernel=3, steps=8, contrast=1.2, envelope_bands=3.0)
LETTERS = get_front_end("rtvc")
CPU = torch.device("cpu")
EMBED = np.full(256, 1 / 16, np.float32)


@pytest.fixture
def model(tiny, tmp_path):
    path = tmp_path / "model.safetensors"
    config = TINY.to_dict() | {"contrast": 1.5}
    write_checkpoint(
        path, kind="synthesizer", architecture="tacotron", config=config, state=tiny.state_dict(), card={}
    )
    return path


@pytest.fixture
def drafted(data, model):
    """With an alignment that gives every symbol one frame and the end what is left."""
    (data / DURATIONS).mkdir()
    for entry in read_manifest(data):
        durations = np.ones(len(LETTERS.encode(entry.text)), np.int64)
        durations[-1] = entry.frames - len(durations) + 1
        np.save(data / DURATIONS / f"{entry.id}.npy", durations)
    assert drafts.main([str(data), str(model), "--device", "cpu", "-n", "1"]) == 0
    return data


@pytest.fixture
def detailed(tiny):
    """The tiny Tacotron with a detailer whose every weight matters."""
    tiny.add_detailer(SMALL)
    for parameter in tiny.detailer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return tiny


def test_a_draft_is_the_mel_of_the_decoders_own_frames(data, tiny):
    for module in tiny.modules():
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
    batch = SynthesizerDataset(data, read_manifest(data), get_front_end("rtvc")).collate([0, 2], 2, None)
    once = tiny(batch.ids, batch.lengths, batch.mels, batch.embeds, batch.frame_lengths)
    twice = tiny(batch.ids, batch.lengths, once.mels, batch.embeds, batch.frame_lengths)
    torch.testing.assert_close(drafts.draft(tiny, batch, passes=1), once.mels_post)
    torch.testing.assert_close(drafts.draft(tiny, batch, passes=2), twice.mels_post)
    assert (once.mels_post - twice.mels_post).abs().max() > 1e-4


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


def test_a_strange_voice_lies_between_two_of_the_batch():
    voices = torch.nn.functional.normalize(torch.rand(6, 256), dim=1)
    moved = drafts.estranged(voices, 1.0, np.random.default_rng(0))
    torch.testing.assert_close(moved.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(drafts.estranged(voices, 0.0, np.random.default_rng(0)), voices)
    assert (moved - voices).abs().max() > 0.01
    shares = torch.linalg.lstsq(voices.T, moved.T).solution.T
    assert torch.all((shares.abs() > 1e-3).sum(dim=1) <= 2) and torch.all(shares > -1e-3)


def test_strange_drafts_are_of_other_voices(data, model):
    drafts.write_drafts(data, model, device="cpu", processes=1)
    plain = {path.name: np.load(path) for path in (data / drafts.DRAFTS).iterdir()}
    shutil.rmtree(data / drafts.DRAFTS)
    assert drafts.main([str(data), str(model), "--device", "cpu", "-n", "1", "--strangeness", "0.8"]) == 0
    assert any(not np.array_equal(np.load(data / drafts.DRAFTS / name), mel) for name, mel in plain.items())
    with pytest.raises(TrainingError, match="between 0 and 1"):
        drafts.write_drafts(data, model, strangeness=1.5, device="cpu", processes=1)


def test_windows_belong_together_and_are_padded_with_silence(drafted):
    entries = read_manifest(drafted)
    for entry in entries:
        mel = np.load(drafted / "mels" / f"{entry.id}.npy")
        np.save(drafted / drafts.DRAFTS / f"{entry.id}.npy", mel.astype(np.float16) + np.float16(1))
    longest = max(entry.frames for entry in entries)
    data = DraftDataset(drafted, entries, DetailTaskConfig(batch_size=6, window_frames=longest), LETTERS)
    batch = data.batch(np.random.default_rng(0)).to(CPU)
    inside = batch.mels > -4
    assert batch.mels.shape == (6, 80, longest) and batch.embeds.shape == (6, 256)
    assert batch.ids.shape == (6, longest)
    said = {tuple(LETTERS.encode(entry.text)[:11]) for entry in entries}
    assert {tuple(ids[:11].tolist()) for ids in batch.ids} <= said
    torch.testing.assert_close(batch.drafts[inside], batch.mels[inside] + 1, atol=4e-3, rtol=0)
    assert torch.all(batch.drafts[:, :, -1][batch.mels[:, :, -1] == -4] == -4)
    assert torch.equal(batch.mels, data.batch(np.random.default_rng(0)).to(CPU).mels)


def test_split_weights_set_the_shares_of_the_windows(drafted):
    entries = read_manifest(drafted)
    only = DraftDataset(drafted, entries, DetailTaskConfig(split_weights={"part0": 1.0, "part1": 0.0}), LETTERS)
    mels = only.batch(np.random.default_rng(0)).to(CPU).mels
    of_part0 = [np.load(drafted / "mels" / f"{e.id}.npy").astype(np.float16) for e in entries if e.split == "part0"]
    starts = {tuple(mel[0].tolist()) for mel in of_part0}
    assert {tuple(mel[:, 0].half().tolist()) for mel in mels} <= starts
    with pytest.raises(TrainingError, match="part0, part1"):
        DraftDataset(drafted, entries, DetailTaskConfig(split_weights={"nowhere": 1.0}), LETTERS)


def test_a_draft_of_another_length_is_refused(drafted):
    entry = read_manifest(drafted)[0]
    np.save(drafted / drafts.DRAFTS / f"{entry.id}.npy", np.zeros((3, 80), np.float16))
    with pytest.raises(TrainingError, match="run synthesizer.drafts again"):
        DraftDataset(drafted, [entry], DetailTaskConfig(), LETTERS)


def test_training_changes_the_detailer_alone_resumes_and_goes_on(drafted, model, tmp_path):
    def train(name, steps, initial=model):
        flags = ["-m", str(tmp_path), "--device", "cpu", "--steps", str(steps), "--threads", "1", "-v", "2", "-s", "2"]
        small = ["batch_size=2", "window_frames=16", "dims=8", "hidden=8", "layers=1", "plot_every=2"]
        sets = [part for text in [*small, "validation_fraction=0.25"] for part in ("--set", text)]
        assert train_detail.main([name, str(drafted), str(initial), *flags, *sets]) == 0
        return load_training_state(tmp_path / name / "last.pt")["network"], tmp_path / name / "best.safetensors"

    straight, path = train("straight", 4)
    train("resumed", 2)
    resumed, _ = train("resumed", 4)
    assert all(torch.equal(straight[name], value) for name, value in resumed.items())
    before, after = (read_checkpoint(p, "synthesizer").state for p in (model, path))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {name.split(".")[0] for name in after.keys() - before.keys()} == {"detailer"}
    network = ModelRegistry().load(path, "synthesizer", torch.device("cpu"))
    assert network.cfg.detail.dims == 8 and network.cfg.contrast == 1.5
    further, _ = train("further", 2, path)
    assert not torch.equal(further["detailer.embed.weight"], straight["detailer.embed.weight"])


def test_without_an_alignment_it_says_what_to_run(data, model, tmp_path, capsys):
    drafts.write_drafts(data, model, device="cpu", processes=1)
    assert train_detail.main(["run", str(data), str(model), "-m", str(tmp_path), "--device", "cpu"]) == 1
    assert "run synthesizer.align first" in capsys.readouterr().err


def test_without_drafts_it_says_what_to_run(data, model, tmp_path, capsys):
    assert train_detail.main(["run", str(data), str(model), "-m", str(tmp_path), "--device", "cpu"]) == 1
    assert "run synthesizer.drafts first" in capsys.readouterr().err


def test_it_learns_how_what_is_missing_is_distributed():
    """Residuals with two values at random, the same over the whole clip: their mean never occurs."""
    cfg = dataclasses.replace(SMALL, residual_deviation=0.5, steps=16)
    torch.manual_seed(0)
    detailer = Detailer(cfg, 4, 3, 8)
    optimizer = torch.optim.Adam(detailer.parameters(), 4e-3)
    blank, ids, embeds = torch.zeros(64, 4, 8), torch.zeros(64, 8, dtype=torch.long), torch.zeros(64, 8)
    for _ in range(400):
        signs = torch.randint(0, 2, (64, 1, 1)) * 2.0 - 1.0
        optimizer.zero_grad()
        detailer.loss(blank, ids, 0.5 * signs.expand(-1, 4, 8), embeds).backward()
        optimizer.step()
    with torch.inference_mode():
        made = torch.stack([_sample(detailer, blank[0], embeds[0], seed).mean() for seed in range(40)])
    assert 8 <= int((made > 0).sum()) <= 32
    assert float((made.abs() > 0.25).float().mean()) > 0.7
    assert 0.3 < float(made.abs().mean()) < 0.6


def test_the_same_seed_gives_the_same_detail_and_no_noise_the_mean(detailed):
    draft, embed = torch.randn(80, 30), torch.rand(256)
    detailer = detailed.detailer
    assert torch.equal(_sample(detailer, draft, embed, 1), _sample(detailer, draft, embed, 1))
    assert not torch.equal(_sample(detailer, draft, embed, 1), _sample(detailer, draft, embed, 2))
    detailer.cfg = dataclasses.replace(SMALL, temperature=0.0)
    assert torch.equal(_sample(detailer, draft, embed, 1), _sample(detailer, draft, embed, 2))
    assert not torch.equal(_sample(detailer, draft, embed, 1), _sample(detailer, draft, torch.zeros(256), 1))
    others = torch.ones(30, dtype=torch.long)
    assert not torch.equal(_sample(detailer, draft, embed, 1), _sample(detailer, draft, embed, 1, others))


def test_guidance_goes_beyond_what_text_and_voice_change(detailed):
    detailer, one = detailed.detailer, dataclasses.replace(SMALL, steps=1)
    draft, ids, embed = torch.randn(80, 12), torch.ones(12, dtype=torch.long), torch.rand(256)

    def made(guidance, ids=ids, embed=embed):
        detailer.cfg = dataclasses.replace(one, guidance=guidance)
        return _sample(detailer, draft, embed, 1, ids)

    unknown = made(0.0, torch.zeros_like(ids), torch.zeros_like(embed))
    torch.testing.assert_close(made(1.5), made(0.0) + 1.5 * (made(0.0) - unknown), atol=1e-4, rtol=1e-4)
    assert (made(0.0) - unknown).abs().max() > 0.01


def test_withheld_text_and_voice_are_as_if_there_were_none(detailed):
    detailer = detailed.detailer
    mels, ids, embeds = torch.randn(2, 4, 80, 12), torch.ones(4, 12, dtype=torch.long), torch.rand(4, 256)

    def loss(ids, embeds, unknown=0.0):
        torch.manual_seed(0)
        if not unknown:
            torch.rand(4, 1)
        return detailer.loss(mels[0], ids, mels[1], embeds, unknown=unknown)

    withheld = loss(ids, embeds, 0.9999)
    assert torch.equal(withheld, loss(torch.zeros_like(ids), torch.zeros_like(embeds)))
    assert not torch.equal(withheld, loss(ids, embeds))


def test_context_is_what_a_frame_depends_on(detailed):
    x, embed = torch.randn(1, 80, 41), torch.rand(1, 256)
    changed = x.clone()
    changed[:, :, 20] += 1
    ids = torch.zeros(1, 41, dtype=torch.long)
    other = ids.clone()
    other[0, 20] = 1
    time = torch.tensor([0.5])
    with torch.inference_mode():
        before = detailed.detailer(x, time, x, ids, embed)
        moved = (before != detailed.detailer(changed, time, changed, other, embed)).any(dim=1)[0]
    context = detailed.detailer.context
    assert moved.nonzero().flatten().tolist() == list(range(20 - context, 21 + context))


def test_a_synthesizer_speaks_with_detail(detailed):
    torch.nn.init.constant_(detailed.decoder.stop_proj.bias, 50.0)
    with_detail = Synthesizer(detailed).synthesize("hello there", EMBED, seed=1)
    again = Synthesizer(detailed).synthesize("hello there", EMBED, seed=1)
    detailer, detailed.cfg = detailed.detailer, TINY
    plain = Synthesizer(detailed).synthesize("hello there", EMBED, seed=1)
    said = np.array(LETTERS.encode("hello there"))[plain.alignments[0].argmax(axis=1)].repeat(2)
    draft, ids = torch.from_numpy(plain.mel), torch.from_numpy(said)[: plain.mel.shape[1]]
    made = _sample(detailer, draft, torch.from_numpy(EMBED), plain.segments[0].seed, ids).clamp(-4, 4).numpy()
    expected = replace_fine_structure(plain.mel, add_contrast(made, 1.2, TINY.mel), 3.0)
    assert np.array_equal(with_detail.mel, again.mel)
    np.testing.assert_allclose(with_detail.mel, expected, atol=1e-4)
    assert np.abs(with_detail.mel - plain.mel).max() > 0.1


def test_without_an_envelope_of_its_own_all_is_the_detailers(detailed):
    torch.nn.init.constant_(detailed.decoder.stop_proj.bias, 50.0)
    detailed.cfg = dataclasses.replace(TINY, detail=dataclasses.replace(SMALL, envelope_bands=0.0), contrast=1.6)
    whole = Synthesizer(detailed).synthesize("hello there", EMBED, seed=1)
    detailed.cfg = TINY
    plain = Synthesizer(detailed).synthesize("hello there", EMBED, seed=1)
    said = np.array(LETTERS.encode("hello there"))[plain.alignments[0].argmax(axis=1)].repeat(2)
    draft, ids = torch.from_numpy(plain.mel), torch.from_numpy(said)[: plain.mel.shape[1]]
    made = _sample(detailed.detailer, draft, torch.from_numpy(EMBED), plain.segments[0].seed, ids)
    expected = add_contrast(made.clamp(-4, 4).numpy(), 1.2, TINY.mel)
    np.testing.assert_allclose(whole.mel, expected, atol=1e-4)


def test_fine_structure_is_replaced_and_the_envelope_kept():
    bands, frames = np.mgrid[0:80, 0:50].astype(np.float32)
    envelope, other = np.sin(bands / 25) + frames / 50, np.cos(bands / 30)
    ripple, other_ripple = 0.3 * np.sin(bands * 2), 0.3 * np.cos(bands * 2)
    made = replace_fine_structure(envelope + ripple, other + other_ripple, 3.0)
    inside = slice(12, -12)
    assert np.abs(made - (envelope + other_ripple))[inside].max() < 0.1


def test_settings_travel_with_the_model_and_bad_ones_are_refused(tiny):
    cfg = dataclasses.replace(TINY, detail=SMALL)
    assert TacotronConfig.from_dict(cfg.to_dict()) == cfg
    assert TacotronConfig.from_dict(TINY.to_dict()).detail is None and tiny.detailer is None
    assert Tacotron(cfg).detailer.cfg == SMALL
    with pytest.raises(ModelError, match="Unknown settings of a detailer: depth"):
        DetailConfig.from_dict({"depth": 3})
    below = ({"temperature": -1.0}, {"guidance": -0.1}, {"residual_deviation": 0.0}, {"contrast": 0.0})
    for bad in ({"kernel": 4}, {"layers": 0}, *below):
        with pytest.raises(ModelError):
            DetailConfig(**bad)


@torch.inference_mode()
def _sample(detailer, draft, embed, seed, ids=None):
    ids = torch.zeros(draft.shape[1], dtype=torch.long) if ids is None else ids
    return detailer.sample(draft, ids, embed, torch.Generator().manual_seed(seed))
