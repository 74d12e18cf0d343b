"""What each published model family says of itself."""
