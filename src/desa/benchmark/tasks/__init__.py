"""What the benchmark asks: a task a file."""
