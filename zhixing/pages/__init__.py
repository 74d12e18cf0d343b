"""Plain values to one self-contained HTML file."""
