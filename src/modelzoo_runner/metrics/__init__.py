"""Scores: from outputs and truth to numbers."""
