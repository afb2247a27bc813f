"""Tables of stellar labels: declared, read, merged, matched by position."""
