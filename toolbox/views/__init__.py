"""The window's panels: they show the state and emit intents, nothing else."""
