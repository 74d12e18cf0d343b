"""Pure functions from predictions to scores."""
