"""What the benchmark compares: a model, baseline or control a file."""
