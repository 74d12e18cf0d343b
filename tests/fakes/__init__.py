"""Jobs that only the tests know: the floor has to carry them as it carries those that ship."""
