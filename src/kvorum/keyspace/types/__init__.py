"""The values that are more than a string."""
