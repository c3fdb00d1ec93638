"""The version, in one place: the build reads it here, and so does `modelzoo_runner`."""

__version__ = "0.1.0"
