"""`nki.builtin`: a namespace that public kernels import and use nothing of."""
