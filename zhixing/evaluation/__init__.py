"""A task over a data set: predictions, scores, a table."""
