import dataclasses

import numpy as np
import pytest
import torch

from audio.errors import AudioError, Cancelled, ModelError
from audio.mel import SYNTHESIZER_MEL, MelTransform
from audio.signal import de_emphasis
from models.checkpoint import write_checkpoint
from models.registry import ModelRegistry
from training.corpus import read_manifest, split_speakers
from training.trainer import Trainer, TrainerConfig
from vocoder import vocos_generation
from vocoder.config import VocosConfig
from vocoder.dataset import WindowConfig
from vocoder.discriminators import Discriminators, discriminator_loss, feature_loss, generator_loss
from vocoder.inference import VocosVocoder, load_vocoder
from vocoder.train import configure, parse, train
from vocoder.vocos import Vocos
from vocoder.vocos_generation import speak
from vocoder.vocos_task import VocosTask, VocosTaskConfig, VocosTraining

TINY = VocosConfig(dim=16, hidden=24, layers=2, kernel=3)


@pytest.fixture
def network() -> Vocos:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Vocos(TINY).eval()


def test_an_untrained_network_gives_the_magnitudes_of_the_mel(network, speechlike):
    wav = speechlike(1.0)
    mel = MelTransform()(wav)
    magnitude, over_time, over_bins = network(torch.from_numpy(mel)[None] / 4)
    assert magnitude.shape == over_time.shape == over_bins.shape == (1, 401, mel.shape[1])
    true = MelTransform().magnitude(torch.from_numpy(wav)[None])
    # Between 55 and 7,600 Hz, where the filters are.
    ratio = (magnitude / true.clamp(min=1e-2))[:, 4:380]
    assert 0.5 < float(ratio.detach().median()) < 2.0


def test_a_frame_depends_on_its_context_and_on_nothing_else(network):
    mels = torch.zeros(1, 80, 40)
    changed = mels.clone()
    changed[..., 20] = 1.0
    moved = (network(mels)[0] - network(changed)[0]).abs().amax(dim=(0, 1)) > 0
    assert moved.nonzero().flatten().tolist() == list(range(20 - network.context, 21 + network.context))


def test_the_blocks_join_to_one_sound_of_the_right_length(network, random_mel, monkeypatch):
    mel = torch.from_numpy(random_mel(150))[None] / 4
    pieces = list(speak(network, mel))
    assert [done for done, _ in pieces] == [40, 120, 149]
    joined = torch.cat([signal for _, signal in pieces], dim=1)
    assert joined.shape == (1, 149 * 200)
    monkeypatch.setattr(vocos_generation, "FIRST_BLOCK", 1000)
    monkeypatch.setattr(vocos_generation, "LARGEST_BLOCK", 1000)
    ((_, whole),) = speak(network, mel)
    # Noise has no stable phases, so only the part before rounding errors have grown can be the same.
    assert torch.allclose(joined[:, :1000], whole[:, :1000], atol=1e-4)


def test_blocks_and_whole_agree_where_phases_are_stable(monkeypatch, speechlike):
    """With the true magnitudes and slopes of a steady tone, borders change nothing."""
    from vocoder.phase import integrate, slopes

    wav = torch.sin(2 * torch.pi * 437.0 / 16000 * torch.arange(200 * 149))[None]
    window = torch.hann_window(800)
    spectrum = torch.stft(wav, 800, 200, 800, window, pad_mode="constant", return_complex=True)
    ones = torch.ones_like(spectrum)
    over_time, over_bins = slopes(spectrum, SYNTHESIZER_MEL)
    over_time, over_bins = torch.cat([ones[..., :1], over_time], -1), torch.cat([ones[:, :1], over_bins], 1)

    def fake(network, mels, first, last, before):
        part = slice(first, last)
        return spectrum.abs()[..., part], integrate(
            spectrum.abs()[..., part], over_time[..., part], over_bins[..., part], SYNTHESIZER_MEL, before
        )

    monkeypatch.setattr(vocos_generation, "_spectrum", fake)
    network, mels = Vocos(TINY), torch.zeros(1, 80, 150)
    joined = torch.cat([signal for _, signal in speak(network, mels)], dim=1)
    monkeypatch.setattr(vocos_generation, "FIRST_BLOCK", 1000)
    ((_, whole),) = speak(network, mels)
    assert float((joined - whole).abs().max()) < 1e-3
    assert float(whole.abs().max()) > 0.5


def test_the_stream_joins_to_what_vocode_returns(network, random_mel):
    vocoder = VocosVocoder(network)
    seen: list[tuple[int, int]] = []
    mel = random_mel(150)
    whole = vocoder.vocode(mel, progress=lambda done, total: seen.append((done, total)))
    assert np.array_equal(np.concatenate(list(vocoder.stream(mel))), whole)
    assert whole.dtype == np.float32 and len(whole) == 149 * 200 and np.isfinite(whole).all()
    assert seen == [(41, 150), (121, 150), (150, 150)]


def test_pre_emphasis_is_undone_across_the_borders(network, random_mel):
    mel = random_mel(100)
    signal = torch.cat([part for _, part in speak(network, torch.from_numpy(mel)[None] / 4)], dim=1)[0].numpy()
    wav = VocosVocoder(network).vocode(mel)
    assert np.abs(de_emphasis(signal, 0.97) - wav).max() < 1e-4 * np.abs(wav).max()


def test_one_frame_is_one_hop(network, random_mel):
    assert len(VocosVocoder(network).vocode(random_mel(1))) == 200


@pytest.mark.parametrize("mel", [np.zeros((80, 0)), np.zeros((40, 5)), np.full((80, 5), np.nan)])
def test_a_mel_that_cannot_be_used_is_a_clear_error(network, mel):
    with pytest.raises(AudioError):
        VocosVocoder(network).vocode(mel)


def test_a_cancel_is_heard_between_blocks(network, random_mel):
    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        VocosVocoder(network).vocode(random_mel(200), progress=stop)


def test_blocks_stay_small_however_long_the_mel(network):
    sizes = [signal.shape[1] for _, signal in speak(network, torch.zeros(1, 80, 3000))]
    assert max(sizes) == vocos_generation.LARGEST_BLOCK * 200 and sum(sizes) == 2999 * 200


def test_a_saved_vocos_is_found_by_its_name(tmp_path, network):
    (tmp_path / "mine").mkdir()
    write_checkpoint(
        tmp_path / "mine" / "vocoder.safetensors", kind="vocoder", architecture="vocos",
        config=TINY.to_dict(), state=network.state_dict(), card={},
    )  # fmt: skip
    vocoder = load_vocoder(ModelRegistry(tmp_path), "mine")
    assert isinstance(vocoder, VocosVocoder) and vocoder.cfg == TINY and vocoder.name == "mine"


@pytest.mark.parametrize(
    "settings", [{"dim": 0}, {"kernel": 4}, {"rounds": -1}, {"colour": "red"}, {"layers": "many"}]
)
def test_settings_that_cannot_be_used_are_named(settings):
    with pytest.raises(ModelError, match="Vocos"):
        VocosConfig.from_dict(settings)


def test_settings_survive_the_way_through_json():
    assert VocosConfig.from_dict(TINY.to_dict()) == TINY


def test_judges_know_identical_sounds_as_identical():
    judges = Discriminators((2, 3), (64, 128), 4)
    wav = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    real, made = judges(wav), judges(wav.clone())
    assert len(real) == 4
    assert float(feature_loss(real, made).detach()) == 0.0
    # The hinge: what is at -1 or below is fully unmasked, what is at 1 or above fools fully.
    sure = [(torch.tensor([2.0]), [torch.ones(1)])]
    unsure = [(torch.tensor([-2.0]), [torch.ones(1)])]
    assert float(discriminator_loss(sure, unsure)) == 0.0
    assert float(discriminator_loss(unsure, sure)) == 6.0
    assert float(generator_loss(sure)) == 0.0 and float(generator_loss(unsure)) == 3.0


def _training(**trainer) -> VocosTraining:
    settings = {"steps": 4, "lr": ((0, 3e-3),), "save_every": 2, "validate_every": 2, "plot_every": 0, "ema_decay": 0.9}
    return VocosTraining(
        model=TINY,
        data=WindowConfig(batch_size=2, window_frames=16),
        task=VocosTaskConfig(
            validation_fraction=0.4, validation_batches=1, sample_seconds=0.1, sound_from=1, adversarial_from=1,
            sound_resolutions=(200, 400), judge_periods=(2,), judge_resolutions=(256,), judge_channels=4,
        ),
        trainer=TrainerConfig(**{**settings, **trainer}),
    )  # fmt: skip


def test_resumed_adversarial_training_equals_a_straight_one(tmp_path, data_root):
    cfg = _training()
    train(cfg, data_root, tmp_path / "straight")
    train(dataclasses.replace(cfg, trainer=dataclasses.replace(cfg.trainer, steps=2)), data_root, tmp_path / "resumed")
    assert train(cfg, data_root, tmp_path / "resumed").step == 4
    states = [torch.load(tmp_path / run / "last.pt", weights_only=True) for run in ("straight", "resumed")]
    for part in ("network", "adversary"):
        assert states[0][part].keys() == states[1][part].keys() and states[0][part]
        for name, value in states[0][part].items():
            assert torch.equal(value, states[1][part][name]), name
    moments = [state["adversary_optimizer"] for state in states]
    assert all(torch.equal(moments[0][i]["exp_avg"], moments[1][i]["exp_avg"]) for i in moments[0])


def test_judges_learn_and_are_not_exported(tmp_path, data_root):
    cfg = _training()
    task = VocosTask(cfg, data_root, *split_speakers(read_manifest(data_root), 0.4, 0))
    assert task.adversary is not None
    before = [p.detach().clone() for p in task.adversary.module.parameters()]
    Trainer(task, cfg.trainer, tmp_path).fit()
    after = list(task.adversary.module.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    vocoder = load_vocoder(ModelRegistry(tmp_path), str(tmp_path / "best.safetensors"))
    assert isinstance(vocoder, VocosVocoder)


def test_the_loss_falls(tmp_path, data_root):
    cfg = _training(steps=40, lr=((0, 1e-2),), ema_decay=0.0, validate_every=40)
    cfg = dataclasses.replace(cfg, task=dataclasses.replace(cfg.task, adversarial_from=1000))
    task = VocosTask(cfg, data_root, *split_speakers(read_manifest(data_root), 0.4, 0))
    assert task.adversary is None
    batch = task.train_batch(0, 0, 1)
    before = task.loss(task.network, batch, 40)[1]
    Trainer(task, cfg.trainer, tmp_path).fit()
    after = task.loss(task.network, batch, 40)[1]
    for name in ("magnitude", "slope", "sound"):
        assert float(after[name]) < float(before[name]), name


def test_the_command_line_chooses_the_architecture():
    args = parse(["run", "data", "--architecture", "vocos", "--set", "dim=32", "--set", "rounds=2"])
    cfg = configure(args)
    assert isinstance(cfg, VocosTraining) and cfg.model.dim == 32 and cfg.model.rounds == 2
