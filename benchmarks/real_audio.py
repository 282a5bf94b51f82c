"""Records and plays through PortAudio on a PulseAudio of its own; knows no window and no models.

``python -m benchmarks.real_audio [WAV]``. Starts a sound server with a null sink, whose monitor is the microphone:
what is played must come back. Exit codes: 0 it did, 1 it did not, 77 PulseAudio is not installed
(Debian: apt install pulseaudio pulseaudio-utils libasound2-plugins libportaudio2).
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio.errors import AudioError
from audio.io import load_wav, save_wav
from toolbox.audio_devices import AudioDeviceError, list_devices
from toolbox.doctor import REFERENCE_CLIP
from toolbox.player import Player
from toolbox.recorder import Recorder, Recording

SKIPPED = 77
SAMPLE_RATE = 16000
PROGRAMS = ("pulseaudio", "pactl", "paplay")
MIN_CORRELATION = 0.98
MAX_LEVEL_ERROR_DB = 0.5
# Without norewinds the null sink asks for sound in bursts of two seconds, at which PortAudio's ALSA side stands still.
SINK = "module-null-sink sink_name=loop rate=48000 norewinds=1"


@dataclass(frozen=True)
class Match:
    """How what came back differs from what was sent."""

    correlation: float  # At the best delay, 1.0 being the same
    tail_correlation: float  # The same of the last 0.3 s
    delay: float  # Seconds of the recording before the sound
    level_db: float  # What came back against what was sent


def missing_programs() -> list[str]:
    """What of PulseAudio and its ALSA plug-in is not installed."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not any(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")):
        missing.append("libasound2-plugins")
    return missing


@contextmanager
def sound_server() -> Iterator[subprocess.Popen[bytes]]:
    """A PulseAudio with a null sink for this process and its children; the user's own is left alone."""
    names = ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PULSE_RUNTIME_PATH", "PULSE_SERVER", "PULSE_COOKIE")
    saved = {name: os.environ.get(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="sound") as folder:
        home = dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"), folder)
        socket = f"{folder}/native"
        os.environ.update(
            home, PULSE_RUNTIME_PATH=f"{folder}/pulse", PULSE_SERVER=f"unix:{socket}", PULSE_COOKIE=f"{folder}/cookie"
        )
        protocol = f"module-native-protocol-unix socket={socket} auth-anonymous=1"
        server = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--log-level=error",
             "-L", protocol, "-L", SINK],
        )
        try:
            wait_for_server()
            subprocess.run(["pactl", "set-default-source", "loop.monitor"], check=True)
            yield server
        finally:
            server.send_signal(signal.SIGCONT)
            server.terminate()
            server.wait(10)
            for name, value in saved.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def wait_for_server() -> None:
    """Raises AudioDeviceError when it does not answer within 10 s."""
    for _ in range(100):
        if subprocess.run(["pactl", "info"], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    raise AudioDeviceError("PulseAudio did not start: run pulseaudio -vv to see why.")


def match(sent: np.ndarray, came: np.ndarray, sample_rate: int) -> Match:
    """Compare two wavs (S,) of one rate; `came` may begin before and end after the sound."""
    from scipy.signal import correlate

    if len(came) < len(sent):
        came = np.pad(came, (0, len(sent) - len(came)))
    delay = int(np.argmax(correlate(came, sent, mode="valid")))
    part = came[delay : delay + len(sent)]
    tail = int(0.3 * sample_rate)
    level = 20 * np.log10(max(float(np.std(part)), 1e-9) / float(np.std(sent)))
    return Match(_cosine(sent, part), _cosine(sent[-tail:], part[-tail:]), delay / sample_rate, float(level))


def record_while(play: "subprocess.Popen[bytes] | Player", recorder: Recorder) -> Recording:
    """What the recorder hears until the sound has ended, and half a second more."""
    while (play.poll() is None) if isinstance(play, subprocess.Popen) else play.playing:
        time.sleep(0.05)
    time.sleep(0.5)
    recorder.stop()
    recording = recorder.wait()
    assert recording is not None
    return recording


def started_recorder() -> Recorder:
    """A recorder to which samples come."""
    recorder = Recorder()
    recorder.start()
    end = time.monotonic() + 10
    while recorder.seconds == 0.0 and recorder.recording and time.monotonic() < end:
        time.sleep(0.01)
    return recorder


def check_recorder(wav: np.ndarray) -> bool:
    """Another program plays the wav; the recorder hears it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sent.wav"
        save_wav(path, wav, SAMPLE_RATE)
        recorder = started_recorder()
        started = time.monotonic()
        with subprocess.Popen(["paplay", str(path)]) as program:
            levels = []
            while program.poll() is None:
                levels.append(recorder.level())
                time.sleep(0.05)
            recording = record_while(program, recorder)
    loudest = max(level.peak for level in levels)
    print(f"  meter: peak {loudest:.3f} (sent {np.abs(wav).max():.3f}), {time.monotonic() - started:.1f} s, "
          f"{recording.device} at {recording.device_rate} Hz, {recording.overflows} overflows {recording.notice}")
    return report("paplay -> Recorder", match(wav, recording.wav, SAMPLE_RATE))


def check_player(wav: np.ndarray, pieces: int) -> bool:
    """The player plays the wav, in pieces that come as if they were being made; the recorder hears it."""
    recorder = started_recorder()
    player = Player()
    before = recorder.seconds  # Known to one block of the device only, some 40 to 150 ms.
    player.start(SAMPLE_RATE)
    for chunk in np.array_split(wav, pieces):
        player.append(chunk)
        if pieces > 1:
            time.sleep(0.5 * len(chunk) / SAMPLE_RATE)
    player.finish()
    recording = record_while(player, recorder)
    found = match(wav, recording.wav, SAMPLE_RATE)
    print(f"  position at the end {player.position:.3f} of {len(wav) / SAMPLE_RATE:.3f} s, "
          f"{player.underruns} underruns, sound about {found.delay - before:.2f} s after start, error {player.error}")
    return report(f"Player ({pieces} pieces) -> Recorder", found) and player.error is None


def check_loss(server: "subprocess.Popen[bytes]", how: str) -> bool:
    """The server freezes or dies under a player and a recorder: both say so, and the recording is kept."""
    recorder, player = started_recorder(), Player()
    player.play(np.full(60 * SAMPLE_RATE, 0.1, dtype=np.float32), SAMPLE_RATE)
    while player.position < 0.3 and player.playing:
        time.sleep(0.02)
    recorded, lost = recorder.seconds, time.monotonic()
    server.send_signal(signal.SIGSTOP if how == "freezes" else signal.SIGKILL)
    ended = player.wait(15) and recorder.wait(15) is not None
    took = time.monotonic() - lost
    recording = recorder.wait(0)
    kept = 0.0 if recording is None else recording.seconds
    good = bool(ended and player.error and recorder.error and kept >= recorded - 0.05)
    verdict = "ok  " if good else "FAIL"
    print(f"{verdict} the server {how}: told after {took:.2f} s; {kept:.2f} of {recorded:.2f} s kept\n  {player.error}")
    return good


def check_nothing_left() -> bool:
    """Without a server there are no devices; that is a notice, and an error only for who plays."""
    try:
        notice = list_devices(refresh=True).notice
    except AudioDeviceError as error:
        notice = str(error)
    player = Player()
    player.play(np.zeros(100, dtype=np.float32), SAMPLE_RATE)
    player.wait(15)
    print(f"{'ok  ' if notice and player.error else 'FAIL'} no server\n  list: {notice}\n  player: {player.error}")
    return bool(notice and player.error)


def report(name: str, found: Match) -> bool:
    """Print the line and say whether it is good."""
    good = (
        found.correlation >= MIN_CORRELATION
        and found.tail_correlation >= MIN_CORRELATION
        and abs(found.level_db) <= MAX_LEVEL_ERROR_DB
    )
    print(f"{'ok  ' if good else 'FAIL'} {name}: correlation {found.correlation:.4f} (last 0.3 s "
          f"{found.tail_correlation:.4f}), delay {found.delay:.3f} s, level {found.level_db:+.2f} dB")
    return good


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.dot(a, b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))


def _known_sound(path: Path) -> np.ndarray:
    wav = load_wav(path, SAMPLE_RATE, max_seconds=8.0)
    # Speech may end in silence, which has no correlation: let the end be heard.
    end = len(wav) - int(np.argmax(np.abs(wav[::-1]) > 0.1 * np.abs(wav).max()))
    return wav[:end]


def main() -> int:
    """Print what was found; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_audio", description=__doc__)
    parser.add_argument("wav", nargs="?", type=Path, default=REFERENCE_CLIP)
    args = parser.parse_args()
    missing = missing_programs()
    if missing:
        print(f"skipped: not installed here: {', '.join(missing)}")
        return SKIPPED
    try:
        wav = _known_sound(args.wav)
        with sound_server() as server:
            devices = list_devices(refresh=True)
            print(f"inputs {[d.name for d in devices.inputs]}, outputs {[d.name for d in devices.outputs]}")
            results = [check_recorder(wav), check_player(wav, 1), check_player(wav, 12), check_loss(server, "dies")]
            server.wait(10)
            results.append(check_nothing_left())
        with sound_server() as server:
            list_devices(refresh=True)
            results += [check_player(wav[: 2 * SAMPLE_RATE], 1), check_loss(server, "freezes")]
    except AudioError as error:
        print(f"FAIL {error}")
        return 1
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
