"""The fast twins of what layers compute: fused attention, int8, packed products."""
