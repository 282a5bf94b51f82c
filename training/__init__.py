"""What the trainings of the three networks share: corpora, manifests, the training loop, its command line."""
