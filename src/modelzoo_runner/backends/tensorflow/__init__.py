"""Graphs: from a file's bytes to a function that runs one step."""
