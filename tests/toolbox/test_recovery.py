"""A crash loses nothing: what one run wrote, the next one puts back on the desk."""

import numpy as np
import pytest

from toolbox.audio_devices import DeviceList
from toolbox.controller import Controller
from toolbox.estimate import Estimate
from toolbox.jobs import find_sound_files, guess_speaker
from toolbox.model_choice import Models
from toolbox.provenance import KINDS, ModelInfo
from toolbox.recovery import Recovery
from toolbox.settings import Settings
from toolbox.sound_desk import Audio
from toolbox.state import Result, SegmentInfo, Take, ToolboxState, VoiceChoice


def program(cloner, folder):
    audio = Audio(list_devices=lambda refresh: DeviceList((), (), "No devices."))
    control = Controller(ToolboxState(), Settings(), Models(cloner=cloner), folder, audio=audio)
    return control, Recovery(control.state, control, folder / "sessions")


def test_text_clips_and_results_come_back_after_a_crash(qtbot, cloner, tmp_path, speechlike):
    control, recovery = program(cloner, tmp_path)
    state = control.state
    state.set_text("What was typed.")
    state.set_option("speed_percent", 80)
    control.add_clip(speechlike(1.0), 16000, "Me", "Recording 1", source="recording")
    wav = (0.5 * speechlike(1.0, seed=2)).astype(np.float32)
    voice = VoiceChoice("clip", "Me", None)
    take = Take("Hello.", voice, 5, (np.zeros((80, 4)),), (), (SegmentInfo("Hello."),), (0.0,), ((0, 7),), 0.8)
    models = tuple(ModelInfo(kind, "tiny") for kind in KINDS)
    state.add_result(Result(state.new_id(), "Me: Hello.", "Me", take, wav, 16000, models=models))
    assert recovery.shutdown(keep=True) and control.shutdown()
    # The system releases the lock of a process that has crashed; this one lives on.
    recovery._store._own.unlock()
    control, recovery = program(cloner, tmp_path)
    with qtbot.waitSignal(recovery.found, timeout=5000) as blocker:
        recovery.start()
    recovery.restore(blocker.args[0])
    qtbot.waitUntil(lambda: len(control.state.results) == 1, timeout=10000)
    assert control.state.text == "What was typed." and control.state.speed == 0.8
    assert [clip.name for clip in control.state.clips] == ["Recording 1"]
    back = control.state.results[0]
    assert back.take.retakes == ((0, 7),) and back.take.speed == 0.8
    assert back.name == "Me: Hello." and np.allclose(back.wav, wav, atol=1e-3)
    assert recovery.shutdown() and control.shutdown()


@pytest.mark.parametrize(
    ("name", "speaker"),
    [("1272-128104-0000.flac", "1272"), ("p225_001.wav", "p225"), ("anna_1.wav", "anna"), ("ben (2).mp3", "ben"),
     ("anna.wav", "anna"), ("007.wav", "folder")],
)
def test_the_speaker_is_guessed_from_the_name(tmp_path, name, speaker):
    assert guess_speaker(tmp_path / "folder" / name) == speaker


def test_a_dropped_folder_is_walked_in_order(tmp_path):
    for name in ("b/2.wav", "a/1.flac", "a/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [path.name for path in find_sound_files([tmp_path])] == ["1.flac", "2.wav"]


def test_time_left_and_rate_are_those_of_the_stage():
    now = [0.0]
    estimate = Estimate(lambda: now[0])
    estimate.report(300, 1000)
    now[0] = 3.0
    estimate.enter(6.5)
    assert estimate.seconds_left == pytest.approx(7.0)
    now[0] = 5.0
    estimate.report(400, 1000)
    assert estimate.seconds_left == pytest.approx(12.0)
    assert estimate.rate == pytest.approx(0.5)
