"""The only place where text meets tensors."""
