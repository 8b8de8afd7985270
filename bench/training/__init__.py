"""One trial: batches, the loop, evaluation and the meters. `run_trial` takes a spec and returns a record."""
