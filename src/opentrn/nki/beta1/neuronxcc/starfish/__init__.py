"""Names that public scripts import from the compiler."""
