"""Quality figures of the models on held-out speech (``make evaluate``); knows the pipeline, is known by nobody."""
