"""Metrics over written answers, each held against one or several references."""
