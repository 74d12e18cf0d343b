"""Writing: a search over what a model says of the next token."""
