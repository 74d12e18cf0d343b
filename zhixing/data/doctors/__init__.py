"""What is wrong with data before anyone trains on it: files, labelled rows, pairs."""
