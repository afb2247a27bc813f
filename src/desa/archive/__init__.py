"""Files from the sky: readers of light-curve and spectrum files."""
