"""A voice as a vector: the GE2E speaker encoder (Wan et al. 2018, arXiv 1710.10467); knows no text and no vocoder."""
