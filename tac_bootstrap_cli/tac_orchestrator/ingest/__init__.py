"""Ways in: what other programs have written about their agents becomes rows. The same record twice, or in another order, gives
the same rows."""
