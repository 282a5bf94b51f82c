"""The errors whose messages are fit to be shown to a user; knows nothing of what raises them."""


class ToolboxError(Exception):
    """Something the user can mend; the message says what is wrong and what to do."""


class AudioError(ToolboxError):
    """A sound that cannot be read, written or used."""


class TextError(ToolboxError):
    """A text that cannot be spoken."""


class ModelError(ToolboxError):
    """A model file that is missing, broken or of another kind."""


class TrainingError(ToolboxError):
    """Training data or settings that cannot be used."""


class Cancelled(Exception):
    """Raised from a ``progress(done, total)`` callback: the one way to stop long work."""
