"""The page for exploring a table of embeddings: a local server and its static files."""
