"""Mel spectrogram to sound: Griffin-Lim and WaveRNN; knows no text, no speaker and no window."""
