"""Stand-in models: they do in milliseconds what the pipeline asks for, so its own logic can be looked at."""

from types import SimpleNamespace

import numpy as np
import pytest

from toolbox.pipeline import VoiceCloner

HOP = 200


class FakeEncoder:
    """The embedding depends on the mean and spread of the wav only."""

    name = "fake-encoder"
    cfg = SimpleNamespace(embed=256)

    def preprocess(self, path_or_wav, source_sr=None):
        from audio.io import load_wav

        if isinstance(path_or_wav, np.ndarray):
            return path_or_wav
        return load_wav(path_or_wav, 16000)

    def embed_utterance(self, wav):
        direction = np.abs(np.sin(np.arange(1, 257) * (1 + 40 * float(np.abs(wav).mean()))))
        return (direction / np.linalg.norm(direction)).astype(np.float32)


class FakeSynthesizer:
    """One segment a sentence, four frames a character at usual speed, with a seed-dependent mel."""

    name = "fake-synthesizer"

    def stream(self, text, embed, seed=None, speed=1.0, progress=None):
        sentences = [part.strip() for part in text.split(".") if part.strip()]
        rng = np.random.default_rng(seed)
        for number, sentence in enumerate(sentences, 1):
            frames = 2 * round(2 * len(sentence) / speed)
            mel = rng.uniform(-4, 4, (80, frames)).astype(np.float32) * (1 + embed[0])
            warnings = ["words were repeated"] if "again again" in sentence else []
            segment = SimpleNamespace(text=sentence, ok=not warnings, warnings=warnings)
            if progress:
                progress(number, len(sentences))
            yield SimpleNamespace(
                mel=mel, alignment=np.eye(frames // 2, len(sentence), dtype=np.float32), segment=segment,
                pause=0.25 * (number < len(sentences)), done=number / len(sentences),
            )


class FakeVocoder:
    """A wave whose loudness follows the mel's mean; counts its runs."""

    name = "fake-vocoder"
    sample_rate = 16000

    def __init__(self):
        self.runs = 0

    def vocode(self, mel, *, seed=None, progress=None):
        self.runs += 1
        envelope = np.repeat(0.1 + np.abs(mel).mean(axis=0), HOP)
        if progress:
            progress(1, 2)
            progress(2, 2)
        return (np.sin(np.arange(len(envelope)) * 0.3) * envelope).astype(np.float32)


@pytest.fixture
def cloner():
    return VoiceCloner(encoder=FakeEncoder(), synthesizer=FakeSynthesizer(), vocoder=FakeVocoder())


@pytest.fixture
def clip(tmp_path, speechlike):
    """A recording as a file."""
    import soundfile

    path = tmp_path / "clip.wav"
    soundfile.write(path, speechlike(2.0, seed=5), 16000)
    return path


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request):
    """A test that uses Qt fails when it leaves threads, processes, running timers or top-level widgets."""
    if not {"qtbot", "qapp"} & set(request.fixturenames):
        yield
        return
    import multiprocessing
    import threading

    request.getfixturevalue("qapp")
    before = {thread.ident for thread in threading.enumerate()}
    yield
    from PyQt5.QtCore import QCoreApplication, QEvent, QTimer
    from PyQt5.QtWidgets import QApplication

    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    threads = [t.name for t in threading.enumerate() if t.ident not in before and t.name.startswith("toolbox")]
    assert not threads, f"threads left running: {threads}"
    assert not multiprocessing.active_children()
    widgets = [widget for widget in QApplication.topLevelWidgets() if widget.isVisible()]
    names = [f"{type(widget).__name__} {widget.objectName()}" for widget in widgets]
    timers = [timer for widget in QApplication.topLevelWidgets() for timer in widget.findChildren(QTimer)]
    running = [timer.objectName() or repr(timer.parent()) for timer in timers if timer.isActive()]
    for widget in widgets:
        widget.close()
    assert not names, f"widgets left open: {names}"
    assert not running, f"timers left running: {running}"


@pytest.fixture(autouse=True)
def own_settings(request, tmp_path, monkeypatch):
    """Settings and the user's data of a test go into its own folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    if not {"qtbot", "qapp"} & set(request.fixturenames):
        return
    from PyQt5.QtCore import QSettings

    for scope in (QSettings.Scope.UserScope, QSettings.Scope.SystemScope):
        QSettings.setPath(QSettings.Format.IniFormat, scope, str(tmp_path / "config"))
