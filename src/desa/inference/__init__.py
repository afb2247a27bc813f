"""Predictions for observers: labels with calibrated intervals, and flags that say when not to trust them."""
