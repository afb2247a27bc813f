"""Experiments on real files: labelled LAMOST spectra, and where known kinds of star fall."""
