"""desa."""
