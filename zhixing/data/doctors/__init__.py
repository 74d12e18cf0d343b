"""Data validation before training: what is wrong with files, labelled rows, pairs."""
