"""Sound to numbers and back; knows no model."""
