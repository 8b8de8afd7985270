"""The study of one cell: samplers, pruners, and its export to a database. Only this room knows optuna."""
