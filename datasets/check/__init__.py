"""Check data sets on disk."""
