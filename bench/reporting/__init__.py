"""Tables, figures and reports, drawn from stored records alone: no torch, no network."""
