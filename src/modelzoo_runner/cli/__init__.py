"""The command modelzoo-runner."""
