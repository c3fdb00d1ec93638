"""Benchmark and score frozen TensorFlow models on CPUs."""
