"""What translation and summarization share: training, scores, pages."""
