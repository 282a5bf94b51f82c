"""Playing, recording and the choice of devices for the window; knows no widget, and nothing of how devices work."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PyQt5.QtCore import QObject, QTimer, pyqtSignal

from audio.errors import AudioError
from toolbox.audio_devices import AudioDevice, DeviceList, list_devices
from toolbox.player import Player
from toolbox.recorder import Recorder, Recording
from toolbox.settings import Settings
from toolbox.state import DeviceChoice, Playback, ToolboxState
from toolbox.state import Recording as RecordingNow
from toolbox.tasks import TaskRunner

log = logging.getLogger(__name__)

TICK_MS = 50
FLOOR_DBFS = -120.0


@dataclass
class Audio:
    """The devices of this machine, or stand-ins. Neither object waits for a device."""

    player: Any = None
    """toolbox.player.Player"""
    recorder: Any = None
    """toolbox.recorder.Recorder"""
    list_devices: Callable[[bool], DeviceList] = list_devices

    def __post_init__(self) -> None:
        self.player = self.player or Player()
        self.recorder = self.recorder or Recorder()


class SoundDesk(QObject):
    """Writes ``state.playback``, ``state.recording``, ``state.inputs`` and ``state.outputs``."""

    recorded = pyqtSignal(object, int)
    """float32 (S,) and its rate."""

    def __init__(
        self,
        state: ToolboxState,
        settings: Settings,
        fail: Callable[[str, Exception, str], None],
        audio: Audio | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._settings = settings
        self._fail = fail
        self._audio = audio or Audio()
        self._runner = TaskRunner("devices", parent=self)
        self._now: Playback | None = None
        self._offset = 0.0
        self._streaming: int | None = None
        self._is_recording = False
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    @property
    def can_play(self) -> bool:
        """Whether there is an output."""
        return bool(self._state.outputs.names)

    def shutdown(self) -> bool:
        """Stop everything; False when a device did not let go in time."""
        self._timer.stop()
        self._audio.player.close()
        self._audio.recorder.close()
        return self._runner.shutdown(2.0)

    # --- devices

    def refresh_devices(self) -> None:
        """Look for devices again; what plays or records is left alone, and then no new device is seen."""
        busy = self._now is not None or self._is_recording
        task = self._runner.submit("Looking for devices", lambda job: self._audio.list_devices(not busy))
        task.succeeded.connect(self._show_devices)
        task.failed.connect(self._no_devices)

    def choose_input(self, name: str) -> None:
        """Record from this device from now on."""
        self._settings.set("input", name)
        inputs = self._state.inputs
        self._state.set_inputs(DeviceChoice(inputs.names, name, inputs.problem))

    def choose_output(self, name: str) -> None:
        """Play on this device from now on."""
        self._settings.set("output", name)
        outputs = self._state.outputs
        self._state.set_outputs(DeviceChoice(outputs.names, name, outputs.problem))

    def _show_devices(self, found: DeviceList) -> None:
        inputs, outputs = found.inputs, found.outputs
        self._state.set_inputs(self._choice("input", inputs, "" if inputs else found.notice))
        self._state.set_outputs(self._choice("output", outputs, "" if outputs else found.notice))
        if found.notice:
            self._state.add_log("info", found.notice)

    def _no_devices(self, error: Exception, details: str) -> None:
        # Without sound everything else works: a line in the log, not a dialog.
        known = isinstance(error, AudioError)
        text = str(error) if known else f"The sound devices could not be read ({error})."
        self._state.set_inputs(DeviceChoice(problem=text))
        self._state.set_outputs(DeviceChoice(problem=text))
        self._state.add_log("info" if known else "warning", text, details)

    def _choice(self, kind: str, devices: tuple[AudioDevice, ...], problem: str) -> DeviceChoice:
        names = tuple(device.name for device in devices)
        default = next((device.name for device in devices if device.is_default), names[0] if names else "")
        wanted = self._settings.text(kind)
        return DeviceChoice(names, wanted if wanted in names else default, problem)

    # --- recording

    def start_recording(self) -> None:
        """Record from the chosen input until ``stop_recording``, 60 s at most."""
        if self._is_recording:
            return
        if not self._state.inputs.names:
            self._state.set_status(self._state.inputs.problem or "The microphones are still being looked for.")
            return
        self.stop()
        self._audio.recorder.device = self._state.inputs.current
        try:
            self._audio.recorder.start()
        except AudioError as error:
            self._fail("Not recorded", error, "")
            return
        self._is_recording = True
        self._state.set_recording(RecordingNow())
        self._state.set_status("Recording: about five seconds are enough.")
        self._timer.start()

    def stop_recording(self) -> None:
        """End the recording: it comes by ``recorded``."""
        if self._is_recording:
            self._audio.recorder.finish()

    def _recording_over(self) -> None:
        self._is_recording = False
        self._state.set_recording(None)
        error, result = self._audio.recorder.error, self._audio.recorder.wait(0)
        if isinstance(result, Recording) and len(result.wav):
            if result.notice:
                self._state.add_log("warning", result.notice)
            self.recorded.emit(result.wav, result.sample_rate)
        elif error is None:
            self._state.set_status("Nothing was recorded: check the microphone.")
        if error is not None:
            self._fail("The recording ended early" if result is not None and len(result.wav) else "Not recorded",
                       error, "")
            self.refresh_devices()

    # --- playing

    def play(self, kind: str, item_id: int, wav: np.ndarray, sample_rate: int, *, offset: float = 0.0) -> None:
        """Play a wav (S,), instead of what sounds now; ``offset`` is where in the item it begins, in seconds."""
        if self._start(kind, item_id, wav, sample_rate, offset):
            self._audio.player.finish()

    def stream(self, item_id: int, wav: np.ndarray, sample_rate: int) -> None:
        """Play a piece of a result that is still being made, after the pieces before it."""
        if self._streaming != item_id:
            if self._start("result", item_id, wav, sample_rate, 0.0):
                self._streaming = item_id
        elif self._now is not None:
            self._audio.player.append(wav)
            self._now = Playback("result", item_id, self._now.position, self._now.duration + len(wav) / sample_rate)

    def end_stream(self) -> None:
        """No more pieces will come."""
        if self._streaming is not None:
            self._streaming = None
            if self._now is not None:
                self._audio.player.finish()

    def stop(self) -> None:
        """Be silent. A result that is still being made is not played on."""
        if self._now is not None:
            self._now = None
            self._audio.player.stop()
            self._state.set_playback(None)

    def _start(self, kind: str, item_id: int, wav: np.ndarray, sample_rate: int, offset: float) -> bool:
        if not self.can_play:
            self._state.set_status(self._state.outputs.problem or "The loudspeakers are still being looked for.")
            return False
        if self._is_recording:
            self._state.set_status("Stop the recording first.")
            return False
        self._streaming = None
        self._audio.player.device = self._state.outputs.current
        try:
            self._audio.player.start(sample_rate)
            self._audio.player.append(wav)
        except AudioError as error:
            self._fail("Not played", error, "")
            return False
        self._offset = offset
        self._now = Playback(kind, item_id, offset, offset + len(wav) / sample_rate)
        self._state.set_playback(self._now)
        self._timer.start()
        return True

    # --- what happens

    def _tick(self) -> None:
        if self._is_recording:
            recorder = self._audio.recorder
            if recorder.recording:
                level = recorder.level()
                self._state.set_recording(RecordingNow(recorder.seconds, _dbfs(level.rms), _dbfs(level.peak)))
            else:
                self._recording_over()
        if self._now is not None:
            player = self._audio.player
            if player.playing:
                self._now = Playback(self._now.kind, self._now.id, self._offset + player.position, self._now.duration)
                self._state.set_playback(self._now)
            else:
                self._now = None
                self._state.set_playback(None)
                if player.error is not None:
                    self._fail("Not played", player.error, "")
                    self.refresh_devices()
        if self._now is None and not self._is_recording:
            self._timer.stop()


def _dbfs(value: float) -> float:
    return 20.0 * math.log10(value) if value > 1e-6 else FLOOR_DBFS
