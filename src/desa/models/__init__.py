"""Encoders, the DualFormer, the whole model."""
