"""Generation: greedy decoding, sampling and beam search over the logits of the next token."""
