"""The controller with stand-in models: clips, cloning, cancel, errors and bounded histories, without any view."""

import time

import numpy as np
import pytest

from audio.errors import ModelError
from toolbox import state as state_module
from toolbox.audio_devices import DeviceList
from toolbox.controller import Controller
from toolbox.model_choice import Models
from toolbox.settings import Settings
from toolbox.sound_desk import Audio
from toolbox.state import DeviceChoice, ToolboxState


class Partials:
    def __init__(self, utterance):
        self.utterance, self.embeds, self.agreement = utterance, utterance[None], 1.0


@pytest.fixture
def control(qtbot, cloner, tmp_path, monkeypatch):
    def embed_partials(wavs, progress=None):
        return [Partials(cloner.encoder.embed_utterance(wav)) for wav in wavs]

    monkeypatch.setattr(cloner.encoder, "embed_partials", embed_partials, raising=False)
    monkeypatch.setattr("toolbox.jobs.coach_clip", lambda wav, rate, agreement: agreement)
    audio = Audio(list_devices=lambda refresh: DeviceList((), (), "No devices."))
    controller = Controller(ToolboxState(), Settings(), Models(cloner=cloner), tmp_path / "data", audio=audio)
    yield controller
    assert controller.shutdown()


def wait(qtbot, condition):
    qtbot.waitUntil(lambda: bool(condition()), timeout=20000)


@pytest.fixture
def ready(control, qtbot, speechlike):
    """A controller with a voice."""
    control.add_clip(speechlike(2.0, seed=1), 16000, "Anna", "one")
    wait(qtbot, lambda: control.state.voice and control.state.voice.embed is not None and not control.state.activity)
    return control


def test_a_clip_becomes_the_voice_and_gets_mel_and_embedding(ready, qtbot):
    wait(qtbot, lambda: ready.state.clips[0].mel is not None)
    clip = ready.state.clips[0]
    assert clip.embed.shape == (256,) and clip.mel.shape[0] == 80
    assert ready.state.voice.kind == "clip" and ready.state.voice.name == "Anna"


def test_clone_fills_take_result_map_and_score(ready, qtbot):
    ready.state.set_text("First sentence. Second one.")
    ready.speech.clone()
    wait(qtbot, lambda: ready.state.results and not ready.state.activity)
    result = ready.state.results[0]
    assert result.name == "Anna: First sentence. Second one." and len(result.spans) == 2
    assert result.spans[1][1] == len(result.wav)
    assert ready.state.take is result.take and ready.state.current_result is result
    wait(qtbot, lambda: ready.state.results[0].score is not None)
    wait(qtbot, lambda: len(ready.state.projection.points) == 2)
    assert {point.kind for point in ready.state.projection.points} == {"clip", "result"}


class Heard:
    """A loudspeaker that notes what it is given."""

    playing, position, error, device = False, 0.0, None, ""

    def __init__(self):
        self.pieces, self.ended = [], False

    def start(self, sample_rate):
        self.pieces.clear()

    def append(self, wav):
        self.pieces.append(wav)

    def finish(self):
        self.ended = True

    def stop(self):
        self.ended = True

    close = stop


def test_the_first_sentence_sounds_before_the_second_is_synthesized(ready, qtbot, cloner, monkeypatch):
    heard, real = Heard(), cloner.synthesizer.stream
    monkeypatch.setattr(ready.sound._audio, "player", heard)
    monkeypatch.setattr(Heard, "playing", property(lambda self: not self.ended))
    ready.state.set_outputs(DeviceChoice(("Loudspeaker",), "Loudspeaker"))

    def waiting(*args, **kwargs):
        for number, spoken in enumerate(real(*args, **kwargs)):
            deadline = time.monotonic() + 10
            while number and not heard.pieces and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not number or heard.pieces, "nothing was heard while the second waited"
            yield spoken

    monkeypatch.setattr(cloner.synthesizer, "stream", waiting)
    ready.state.set_text("First sentence. Second one. A third.")
    ready.speech.clone()
    wait(qtbot, lambda: ready.state.results and not ready.state.activity)
    assert len(heard.pieces) == 2 and heard.ended
    assert np.array_equal(np.concatenate(heard.pieces), ready.state.results[0].wav)


def test_a_failure_after_the_first_sentence_ends_the_sound(ready, qtbot, cloner, monkeypatch):
    heard = Heard()
    monkeypatch.setattr(ready.sound._audio, "player", heard)
    monkeypatch.setattr(Heard, "playing", property(lambda self: not self.ended))
    ready.state.set_outputs(DeviceChoice(("Loudspeaker",), "Loudspeaker"))
    real = cloner.vocoder.vocode
    monkeypatch.setattr(cloner.vocoder, "vocode", lambda mel, **o: 1 // 0 if cloner.vocoder.runs else real(mel, **o))
    ready.state.set_text("First sentence. Second one.")
    with qtbot.waitSignal(ready.error_raised):
        ready.speech.clone()
    assert len(heard.pieces) == 1 and heard.ended and not ready.state.results
    assert len(ready.state.take.segments) == 2
    wait(qtbot, lambda: ready.state.activity is None)


def test_only_the_failed_sentence_is_said_again(ready, qtbot):
    ready.state.set_text("This is fine. It says again again. This too.")
    ready.speech.clone()
    wait(qtbot, lambda: ready.state.results and not ready.state.activity)
    before = ready.state.results[0]
    assert before.take.failed == (1,)
    ready.speech.say_again(1, before.id)
    wait(qtbot, lambda: ready.state.results[0].wav is not before.wav)
    after = ready.state.results[0]
    assert [index for index, _ in after.take.retakes] == [1] and before.take.retakes == ()
    start, stop = before.spans[0]
    assert np.array_equal(after.wav[start:stop], before.wav[start:stop])
    assert np.array_equal(after.wav[slice(*after.spans[2])], before.wav[slice(*before.spans[2])])


def test_cancel_takes_effect_at_once_and_leaves_the_window_usable(ready, qtbot, cloner, monkeypatch):
    def endless(mel, *, seed=None, progress=None):
        while True:
            progress(1, 100)
            time.sleep(0.01)

    monkeypatch.setattr(cloner.vocoder, "vocode", endless)
    ready.state.set_text("Never ends.")
    ready.speech.clone()
    wait(qtbot, lambda: ready.state.take is not None)
    started = time.monotonic()
    ready.cancel()
    wait(qtbot, lambda: ready.state.activity is None)
    assert time.monotonic() - started < 0.5 and not ready.state.results
    monkeypatch.undo()
    ready.speech.vocode()
    wait(qtbot, lambda: ready.state.results)


def test_a_result_of_vocoding_alone_is_said_again_with_its_take(ready, qtbot):
    ready.state.set_text("It says again again. This is fine.")
    ready.speech.synthesize()
    wait(qtbot, lambda: ready.state.take is not None and not ready.state.activity)
    ready.state.set_option("seed", 5)
    ready.state.set_option("use_seed", True)
    ready.speech.vocode()
    wait(qtbot, lambda: ready.state.results and not ready.state.activity)
    before = ready.state.results[0]
    assert before.take.seed == 5 and before.take is ready.state.take
    ready.speech.say_again(0)
    wait(qtbot, lambda: ready.state.results[0].wav is not before.wav)
    assert ready.state.results[0].take.retakes and ready.state.results[0].take is ready.state.take


def test_a_sentence_is_said_again_at_the_speed_of_its_take(ready, qtbot):
    ready.state.set_text("One is here. Two is there.")
    ready.state.set_option("speed_percent", 50)
    ready.speech.clone()
    wait(qtbot, lambda: ready.state.results and not ready.state.activity)
    before = ready.state.results[0].take
    ready.state.set_option("speed_percent", 100)
    ready.speech.say_again(0)
    wait(qtbot, lambda: ready.state.results[0].take.retakes)
    after = ready.state.results[0].take
    assert before.speed == after.speed == 0.5
    assert [mel.shape for mel in after.mels] == [mel.shape for mel in before.mels]
    assert after.mels[0].shape[1] == 8 * len("One is here")


def test_an_error_is_a_sentence_and_nothing_is_lost(ready, qtbot, cloner, monkeypatch):
    def broken(*args, **kwargs):
        raise ModelError("The synthesizer is damaged: fetch it again.")

    monkeypatch.setattr(cloner.synthesizer, "stream", broken)
    ready.state.set_text("Hello.")
    with qtbot.waitSignal(ready.error_raised) as blocker:
        ready.speech.clone()
    assert "The synthesizer is damaged" in blocker.args[0] and "Traceback" in blocker.args[1]
    assert len(ready.state.clips) == 1 and ready.state.text == "Hello."
    wait(qtbot, lambda: ready.state.activity is None)


def test_files_that_cannot_be_read_are_named_once(control, qtbot, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    with qtbot.waitSignal(control.error_raised) as blocker:
        control.load_files([bad, tmp_path / "missing.wav"])
    assert "2 files" in blocker.args[0] and "missing.wav" in blocker.args[1]
    assert control.state.clips == ()


def test_empty_text_and_no_voice_are_said_in_the_status_line(control, qtbot):
    control.speech.clone()
    assert "voice" in control.state.status
    assert control.state.activity is None


def test_export_writes_the_mark_and_a_full_disk_is_an_error(ready, qtbot, tmp_path, monkeypatch):
    from audio.io import read_metadata

    ready.state.set_text("Hello there.")
    ready.speech.clone()
    wait(qtbot, lambda: ready.state.results and not ready.state.activity)
    assert len(ready.unsaved) == 1
    ready.export(ready.state.results[0].id, tmp_path / "out.flac")
    wait(qtbot, lambda: not ready.unsaved)
    assert read_metadata(tmp_path / "out.flac")["synthetic"] == "yes"
    with qtbot.waitSignal(ready.error_raised):
        ready.export(ready.state.results[0].id, tmp_path / "out.xyz")


def test_histories_are_bounded_and_say_what_fell_out(control, qtbot, monkeypatch, speechlike):
    monkeypatch.setattr(state_module, "MAX_CLIPS", 3)
    wav = speechlike(1.0)
    for number in range(5):
        control.add_clip(wav, 16000, "Anna", f"clip {number}")
    wait(qtbot, lambda: control.state.activity is None)
    assert [clip.name for clip in control.state.clips] == ["clip 2", "clip 3", "clip 4"]
    assert any("clip 0 left it" in line.text for line in control.state.log)


def test_centroid_blend_and_saved_voices(ready, qtbot, speechlike):
    ready.add_clip(0.2 * speechlike(2.0, seed=4), 16000, "Ben", "two")
    wait(qtbot, lambda: all(clip.embed is not None for clip in ready.state.clips))
    ready.voices.choose_speaker("Anna")
    anna = ready.state.voice.embed
    ready.voices.save("Anna's", "", "test", True)
    wait(qtbot, lambda: ready.state.saved_voices)
    ready.voices.choose_blend("saved:Anna's", "speaker:Ben", 0.5)
    blend = ready.state.voice.embed
    assert abs(np.linalg.norm(blend) - 1) < 1e-5 and 0 < blend @ anna < 1.0001
    ready.voices.choose_saved("Anna's")
    assert np.allclose(ready.state.voice.embed, anna, atol=1e-6)
