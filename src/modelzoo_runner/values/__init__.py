"""Plain values that every room shares: plans, presets, and how they are written and read."""
