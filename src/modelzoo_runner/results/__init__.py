"""What was observed, what follows from it, and how it looks."""
