"""Model folders, read and written."""
