"""What a model does: where its inputs come from, and how its outputs are scored."""
