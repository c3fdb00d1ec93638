"""One plan from start to end, in this process or in a child."""
