"""Checkpoints: model folders loaded and saved (safetensors, config.json, tokenizer, card)."""
