"""Measurements that are no tests: they take minutes, and what they print depends on the machine."""
