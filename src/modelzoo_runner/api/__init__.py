"""The public functions: their arguments, their documentation, and the order of their steps."""
