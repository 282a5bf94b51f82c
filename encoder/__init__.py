"""A voice as a vector: the GE2E speaker encoder (Wan et al. 2018); knows no text and no vocoder."""
