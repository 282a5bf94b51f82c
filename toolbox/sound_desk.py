"""Playing, recording and the choice of devices, without waiting for any of them; knows no widget and no PortAudio.

Devices are opened and closed by a worker: a sound server that does not answer holds up nothing but sound.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from PyQt5.QtCore import QObject, QTimer, pyqtSignal

from toolbox.settings import Settings
from toolbox.state import DeviceChoice, Playback, Recording, ToolboxState
from toolbox.tasks import Job, TaskRunner

log = logging.getLogger(__name__)

TICK_MS = 50
MAX_RECORDING_SECONDS = 60.0
SAMPLE_RATE = 16000


class RecorderLike(Protocol):
    """An open input."""

    def start(self) -> None: ...

    def stop(self) -> np.ndarray:
        """float32 (S,) at 16 kHz."""

    @property
    def seconds(self) -> float: ...

    @property
    def levels(self) -> tuple[float, float]:
        """(mean, peak) of the last moment in dBFS."""

    @property
    def problem(self) -> str:
        """A sentence when the device has gone."""


class PlayerLike(Protocol):
    """An open output. After ``play``, ``append`` adds sound and ``finish`` says that no more will come."""

    def play(self, wav: np.ndarray, sample_rate: int, more: bool = False) -> None: ...

    def append(self, wav: np.ndarray) -> None: ...

    def finish(self) -> None: ...

    def stop(self) -> None: ...

    @property
    def position(self) -> float: ...

    @property
    def is_playing(self) -> bool: ...

    @property
    def problem(self) -> str:
        """A sentence when the device has gone."""


class AudioBackend(Protocol):
    """Where devices come from."""

    def devices(self) -> tuple[tuple[str, ...], tuple[str, ...], str]:
        """(inputs, outputs, problem): the default device first, and a sentence when sound does not work at all."""

    def recorder(self, device: str) -> RecorderLike: ...

    def player(self, device: str) -> PlayerLike: ...


class SoundDesk(QObject):
    """Writes ``state.playback``, ``state.recording``, ``state.inputs`` and ``state.outputs``."""

    recorded = pyqtSignal(object, int)
    """float32 (S,) and its rate."""

    def __init__(
        self,
        state: ToolboxState,
        settings: Settings,
        fail: Callable[[str, Exception, str], None],
        backend: AudioBackend | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._settings = settings
        self._fail = fail
        self._backend = backend
        self._runner = TaskRunner("audio", parent=self)
        self._player: PlayerLike | None = None
        self._recorder: RecorderLike | None = None
        self._starting = False
        self._now: Playback | None = None
        self._token = 0
        self._offset = 0.0
        self._streaming: int | None = None
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
        player, recorder = self._player, self._recorder
        self._player = self._recorder = None

        def close(job: Job) -> None:
            if player is not None:
                player.stop()
            if recorder is not None:
                recorder.stop()

        # Shutting down drops what waits: this must have been done before.
        if player is not None or recorder is not None:
            try:
                close(Job(lambda kind, value: None))
            except Exception as error:
                # The edge of the program: whatever a driver says now, the window is closing.
                log.debug("closing the sound device: %s", error)
        return self._runner.shutdown(2.0)

    # --- devices

    def refresh_devices(self) -> None:
        """Look for devices again."""

        def show(found: tuple[tuple[str, ...], tuple[str, ...], str]) -> None:
            inputs, outputs, problem = found
            no_input = "" if inputs else problem or "No microphone was found: connect one and refresh, or load a file."
            no_output = "" if outputs else problem or "No loudspeaker was found: results can still be exported."
            self._state.set_inputs(DeviceChoice(inputs, self._remembered("input", inputs), no_input))
            self._state.set_outputs(DeviceChoice(outputs, self._remembered("output", outputs), no_output))
            for notice in dict.fromkeys((no_input, no_output)):
                if notice:
                    self._state.add_log("info", notice)

        task = self._runner.submit("Looking for devices", lambda job: self._devices())
        task.succeeded.connect(show)
        task.failed.connect(lambda error, details: self._fail("The sound devices were not read", error, details))

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

    def _remembered(self, kind: str, names: tuple[str, ...]) -> str:
        name = self._settings.text(kind)
        return name if name in names else names[0] if names else ""

    def _devices(self) -> tuple[tuple[str, ...], tuple[str, ...], str]:
        return self._ensure_backend().devices()

    def _ensure_backend(self) -> AudioBackend:
        if self._backend is None:
            from toolbox.audio_backend import PortAudioBackend

            self._backend = PortAudioBackend()
        return self._backend

    # --- recording

    def start_recording(self) -> None:
        """Record from the chosen input until ``stop_recording``, 60 s at most."""
        if self._recorder is not None or self._starting:
            return
        if not self._state.inputs.names:
            self._state.set_status(self._state.inputs.problem or "The microphones are being looked for.")
            return
        self.stop()
        name = self._state.inputs.current
        self._starting = True
        self._state.set_recording(Recording())

        def begin(job: Job) -> RecorderLike:
            recorder = self._ensure_backend().recorder(name)
            recorder.start()
            return recorder

        def began(recorder: RecorderLike) -> None:
            self._recorder = recorder
            self._timer.start()
            self._state.set_status("Recording: speak for about five seconds.")

        task = self._runner.submit("Opening the microphone", begin)
        task.succeeded.connect(began)
        task.failed.connect(self._not_recorded)
        task.finished.connect(self._started)

    def stop_recording(self) -> None:
        """End the recording: it comes by ``recorded``."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        task = self._runner.submit("Closing the microphone", lambda job: recorder.stop())
        task.succeeded.connect(self._stopped)
        task.failed.connect(self._not_recorded)

    def _started(self) -> None:
        self._starting = False

    def _stopped(self, wav: np.ndarray) -> None:
        self._state.set_recording(None)
        if len(wav):
            self.recorded.emit(wav, SAMPLE_RATE)
        else:
            self._state.set_status("Nothing was recorded: check the microphone.")

    def _not_recorded(self, error: Exception, details: str) -> None:
        self._recorder = None
        self._state.set_recording(None)
        self._fail("Not recorded", error, details)
        self.refresh_devices()

    # --- playing

    def play(
        self, kind: str, item_id: int, wav: np.ndarray, sample_rate: int, *, offset: float = 0.0, more: bool = False
    ) -> None:
        """Play a wav (S,), instead of what sounds now; ``offset`` is where in the item it begins, in seconds."""
        if not self.can_play:
            self._state.set_status(self._state.outputs.problem or "The loudspeakers are being looked for.")
            return
        self._token += 1
        token, old = self._token, self._player
        name = self._state.outputs.current
        self._player = None
        self._streaming = item_id if more else None
        self._now = Playback(kind, item_id, offset, offset + len(wav) / sample_rate)
        self._offset = offset
        self._state.set_playback(self._now)

        def begin(job: Job) -> PlayerLike:
            if old is not None:
                old.stop()
            player = self._ensure_backend().player(name)
            player.play(wav, sample_rate, more)
            return player

        def began(player: PlayerLike) -> None:
            if token == self._token and self._now is not None:
                self._player = player
                self._timer.start()
            else:
                self._runner.submit("Stopping", lambda job: player.stop())

        task = self._runner.submit("Opening the loudspeaker", begin)
        task.succeeded.connect(began)
        task.failed.connect(lambda error, details: self._not_played(token, error, details))

    def stream(self, item_id: int, wav: np.ndarray, sample_rate: int) -> None:
        """Play a piece of a result that is still being made, after the pieces before it."""
        if self._streaming != item_id:
            self.play("result", item_id, wav, sample_rate, more=True)
            return
        if self._now is not None:
            self._now = Playback("result", item_id, self._now.position, self._now.duration + len(wav) / sample_rate)
        self._later(lambda player: player.append(wav))

    def end_stream(self) -> None:
        """No more pieces will come."""
        if self._streaming is not None:
            self._streaming = None
            self._later(lambda player: player.finish())

    def stop(self) -> None:
        """Be silent."""
        self._token += 1
        player, self._player = self._player, None
        self._now, self._streaming = None, None
        self._state.set_playback(None)
        if player is not None:
            self._runner.submit("Stopping", lambda job: player.stop())

    def _later(self, call: Callable[[PlayerLike], Any]) -> None:
        """Call the player once it is open: after ``play``, in the same queue."""
        token = self._token

        def run(_: Any) -> None:
            player = self._player
            if player is not None and token == self._token:
                task = self._runner.submit("Playing", lambda job: call(player))
                task.failed.connect(lambda error, details: self._not_played(token, error, details))

        # An empty task behind the one that opens the player.
        self._runner.submit("Waiting", lambda job: None).succeeded.connect(run)

    def _not_played(self, token: int, error: Exception, details: str) -> None:
        if token == self._token:
            self.stop()
            self._fail("Not played", error, details)
            self.refresh_devices()

    def _tick(self) -> None:
        if self._recorder is not None:
            self._tick_recorder(self._recorder)
        if self._player is not None and self._now is not None:
            self._tick_player(self._player, self._now)
        if self._recorder is None and self._player is None:
            self._timer.stop()

    def _tick_recorder(self, recorder: RecorderLike) -> None:
        level, peak = recorder.levels
        self._state.set_recording(Recording(recorder.seconds, level, peak))
        if recorder.problem:
            self._state.add_log("warning", recorder.problem)
            self.stop_recording()
            self.refresh_devices()
        elif recorder.seconds >= MAX_RECORDING_SECONDS:
            self.stop_recording()

    def _tick_player(self, player: PlayerLike, now: Playback) -> None:
        if player.problem:
            from audio.errors import AudioError

            self._not_played(self._token, AudioError(player.problem), "")
        elif not player.is_playing:
            self.stop()
        else:
            self._now = Playback(now.kind, now.id, self._offset + player.position, now.duration)
            self._state.set_playback(self._now)
