"""Make an int8 graph of a float32 one, step by step: wiring, units, ranges, encodings, nodes."""
