"""Tasks on top of the embedding."""
