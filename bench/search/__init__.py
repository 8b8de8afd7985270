"""The study of one cell: samplers, pruners, and its export to a database. Nothing else imports optuna."""
