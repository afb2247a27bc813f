"""Odd stars: ranked, with what is odd about each."""
