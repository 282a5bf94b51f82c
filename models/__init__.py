"""What a trained model is on disk; knows no network beyond its name and no training loop."""
