"""The networks themselves, built as GraphDefs with seeded weights."""
