"""Files from the sky: readers of light-curve and spectrum files."""

from desa.io.registry import identify, read

__all__ = ["identify", "read"]
