"""The errors whose messages are fit to be shown to a user; knows nothing of what raises them."""


class ToolboxError(Exception):
    """Something the user can mend; the message says what is wrong and what to do."""


class AudioError(ToolboxError):
    """A sound that cannot be read, written or used."""


class AudioMissingError(AudioError):
    """No file, or no plain file, at the path."""


class AudioAccessError(AudioError):
    """The system does not let the file be read."""


class NotAudioError(AudioError):
    """A file in which no decoder finds sound."""


class TruncatedAudioError(AudioError):
    """A sound file that is cut off or damaged where the sound should be."""


class EmptyAudioError(AudioError):
    """A sound without samples."""


class NonFiniteAudioError(AudioError):
    """Samples that are not numbers, or infinite."""


class SilentAudioError(AudioError):
    """Nothing, or no speech, to be heard."""


class ShortAudioError(AudioError):
    """Less sound or less speech than the work needs."""


class UnsupportedAudioError(AudioError):
    """A sample rate, number of channels, format or encoding that is outside what the toolbox handles."""


class AudioSaveError(AudioError):
    """A sound file could not be written; what was there before is untouched."""


class SignalSettingsError(AudioError):
    """Signal settings that contradict each other."""


class TextError(ToolboxError):
    """A text that cannot be spoken."""


class ModelError(ToolboxError):
    """A model file that is missing, broken or of another kind."""


class TrainingError(ToolboxError):
    """Training data or settings that cannot be used."""


class Cancelled(Exception):
    """Raised from a ``progress(done, total)`` callback: the one way to stop long work."""
