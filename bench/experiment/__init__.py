"""An experiment: its file and schema, its cells, their search spaces, and what is made ready before it runs."""
