"""Text classification, also sentiment: labels for texts and text pairs."""
