"""A model from a configuration."""
