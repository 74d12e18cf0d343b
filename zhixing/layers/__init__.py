"""The parts of a Transformer: they know tensors and sizes, no configuration and no text."""
