"""The tables: one file each, which ties a model to its queries."""
