"""The data set on disk."""
