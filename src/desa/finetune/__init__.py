"""Heads for a user's own labels."""
