"""What other tools have published, through our statistics: never averaged or ranked with our own records.

Nothing here is a `TrialRecord`, and nothing that reads results folders reads it.
"""
