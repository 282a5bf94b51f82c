"""Sound to the loudspeaker through sounddevice, loaded when first used; knows no models and no window."""

import numpy as np

from audio.errors import AudioError


class PlaybackError(AudioError):
    """The sound could not be played; it is not lost by that."""


def play(wav: np.ndarray, sample_rate: int) -> None:
    """Play a wav (S,) on the default output and wait for its end.

    A device that does not take ``sample_rate`` gets the sound at its own rate.

    Raises:
        PlaybackError: no PortAudio, no output device, or the device refuses.
    """
    try:
        import sounddevice as sd
    except (ImportError, OSError) as error:
        raise PlaybackError(f"the PortAudio library is missing (Debian: apt install libportaudio2): {error}") from error
    try:
        try:
            sd.check_output_settings(samplerate=sample_rate, channels=1, dtype="float32")
        except sd.PortAudioError:
            from audio.signal import resample

            own_rate = int(sd.query_devices(kind="output")["default_samplerate"])
            wav, sample_rate = resample(wav, sample_rate, own_rate), own_rate
        sd.play(np.asarray(wav, dtype=np.float32), sample_rate)
        sd.wait()
    except KeyboardInterrupt:
        sd.stop()
        raise
    except (sd.PortAudioError, ValueError, OSError) as error:
        # sounddevice raises ValueError when there is no device at all.
        raise PlaybackError(f"no sound output: {error}") from error
