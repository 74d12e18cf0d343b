"""zhixing · 知行: small and medium language models, from theory to practice."""

__version__ = "0.1.0"
