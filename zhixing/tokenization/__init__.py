"""Text to token ids with offsets, and back."""
