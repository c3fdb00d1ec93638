"""The machine: what it has, which part of it a run gets, and what the run found."""
