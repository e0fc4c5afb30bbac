"""Findings: what would go wrong on the chip. One check per file; `all.py` finds the files."""
