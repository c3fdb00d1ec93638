"""The original pipeline's parameters and command lines, in today's words."""
