"""Model families: each one's config.json keys and state-dict names."""
