"""Make an int8 graph of a float32 one, step by step: analysis, layers, ranges, encodings, nodes."""
