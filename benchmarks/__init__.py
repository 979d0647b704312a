"""How fast the store is, against plain SQL in the same run, and whether the budgets hold."""
