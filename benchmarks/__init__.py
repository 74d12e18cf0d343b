"""Benchmarks: one script a question, each writes JSON; the README's table is made from those."""
