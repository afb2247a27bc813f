"""Batched preprocessing on the device."""
