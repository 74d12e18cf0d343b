"""Tokenizers: text to token ids with offsets, and back (BPE, WordPiece, unigram)."""
