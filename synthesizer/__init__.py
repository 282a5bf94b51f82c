"""Text and a speaker embedding to a mel spectrogram."""
