"""The mock survey."""
