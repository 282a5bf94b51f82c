"""Through the real main of the window with tiny models: load, clone, export, save the voice; and no display."""

import gc
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PyQt5")

TEXT = "Hello there, my friend.\nHow are you today?"


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    from PyQt5.QtCore import QSettings

    for variable, folder in (("VOICE_TOOLBOX_DATA", "data"), ("VOICE_TOOLBOX_MODELS", "none"), ("HOME", "home")):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "config"))


class Silence:
    """Sound devices of a machine that has none."""

    def __call__(self, refresh=False):
        from toolbox.audio_devices import DeviceList

        return DeviceList((), (), "No microphone and no loudspeaker was found.")


@pytest.fixture
def drive(qtbot, models_dir, monkeypatch):
    """``drive(steps, *arguments)`` runs main with a generator of steps: each yields what it waits for."""
    from PyQt5.QtCore import QTimer

    from toolbox import window
    from toolbox.sound_desk import Audio

    real = window.Program

    def run(steps, *arguments):
        seen = {}

        class Watched(real):
            def __init__(self, **parts):
                super().__init__(audio=Audio(list_devices=Silence()), **parts)

            def open(self):
                super().open()
                # A list of a program that is closed is read by nobody.
                seen["steps"] = steps(self)
                seen["wanted"] = lambda: True
                self.step = QTimer(self.window)
                self.step.setInterval(20)
                self.step.timeout.connect(lambda: advance(self))
                self.step.start()

        def advance(program):
            try:
                if seen["wanted"]():
                    seen["wanted"] = next(seen["steps"])
            except StopIteration:
                program.step.stop()
                program.window.close_now()
            except BaseException as error:
                seen["error"] = error
                program.step.stop()
                program.window.close_now()

        monkeypatch.setattr(window, "Program", Watched)
        code = window.main(["--cpu", "-m", str(models_dir), *arguments])
        if "error" in seen:
            raise seen["error"]
        return code

    return run


def threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("toolbox")]


@pytest.mark.timeout(120)
def test_load_clone_export_save_and_use_the_voice_again(drive, clip, tmp_path, monkeypatch):
    from PyQt5.QtWidgets import QFileDialog, QPlainTextEdit, QPushButton

    from audio.io import load_wav, read_metadata
    from toolbox.provenance import parse_metadata

    out = tmp_path / "out.wav"
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *a, **k: ([str(clip)], ""))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(out), "WAV (*.wav)"))

    def first(program):
        state, window = program.state, program.window
        yield lambda: state.models("vocoder").names and state.activity is None
        window.findChild(QPushButton, "load_button").click()
        yield lambda: state.voice is not None and state.voice.embed is not None and state.activity is None
        assert state.clips[0].coaching is not None
        yield lambda: state.clips[0].mel is not None  # drawn by a job beside that of the voice
        window.findChild(QPlainTextEdit, "text_edit").setPlainText(TEXT)
        yield lambda: window.findChild(QPushButton, "clone_button").isEnabled()
        window.findChild(QPushButton, "clone_button").click()
        yield lambda: state.results and state.activity is None
        result = state.results[0]
        assert len(result.wav) > 1000 and np.isfinite(result.wav).all() and len(result.spans) == 2
        yield lambda: len(state.projection.points) == len([1 for r in state.results if r.embed is not None]) + 1
        assert state.take.mel.shape[0] == 80
        window.findChild(QPushButton, "export_result").click()
        yield lambda: state.results[0].saved_to == out
        program.controller.voices.save("Anna", "warm", "a test", True)
        yield lambda: [voice.name for voice in state.saved_voices] == ["Anna"]

    assert drive(first, "--seed", "3") == 0
    assert threads() == [] and gc.isenabled() and gc.get_freeze_count() == 0
    mark = parse_metadata(read_metadata(out))
    assert mark is not None and mark.seed == 3 and mark.text == TEXT
    assert len(load_wav(out, 16000)) > 1000

    def second(program):
        state = program.state
        yield lambda: state.saved_voices and state.models("vocoder").names and state.activity is None
        program.window.voice_panel.voices.voice_used.emit("Anna")
        yield lambda: state.voice is not None and state.voice.embed is not None
        program.window.text_panel.text_edited.emit("Once more.")
        program.controller.speech.clone()
        yield lambda: state.results and state.activity is None
        assert state.results[0].speaker == "Anna"
        program.state.update_result(state.results[0].id, saved_to=Path("kept"))

    assert drive(second) == 0
    assert threads() == []


@pytest.mark.timeout(60)
def test_without_models_the_window_says_so_and_works(drive, clip, tmp_path, monkeypatch):
    from toolbox import doctor, model_choice
    from toolbox.views.dialogs import DoctorDialog

    def examine(write, progress):
        write("ok    everything")
        progress(1, 2)
        return 0

    monkeypatch.setattr(doctor, "run_doctor", examine)
    monkeypatch.setattr(model_choice.Models, "has", lambda self, kind, selection: False)
    monkeypatch.setattr(model_choice.Models, "names", lambda self, kind: ())

    def steps(program):
        state = program.state
        yield lambda: any("There is no encoder" in line.text for line in state.log)
        yield lambda: state.activity is None
        yield lambda: "No microphone" in state.inputs.problem
        program.controller.load_files([tmp_path / "missing.wav"])
        yield lambda: any("missing.wav" in line.text for line in state.log)
        program.window.doctor_requested.emit()
        assert state.activity.title == "Doctor"
        dialog = program.window.findChild(DoctorDialog)
        yield lambda: "everything" in dialog.text() and state.activity is None
        dialog.close()

    assert drive(steps) == 0


def test_no_display_is_one_line_and_code_2(python, monkeypatch):
    monkeypatch.delenv("QT_QPA_PLATFORM")
    done = python(Path(__file__).resolve().parents[2] / "demo_toolbox.py")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "demo_cli.py" in done.stderr
