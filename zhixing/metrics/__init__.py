"""Metrics: pure functions from predictions to scores."""
