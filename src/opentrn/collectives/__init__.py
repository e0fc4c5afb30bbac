"""What the collectives of `nki.collectives` do to values, and what they cost: one file per instruction."""
