"""Data: from a location, or none, to batches of inputs and truth."""
