"""Finding stars that are like a star: nearest neighbours in a table of embeddings, with conditions."""
