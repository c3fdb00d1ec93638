"""The runtimes that can run a graph."""
