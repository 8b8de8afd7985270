"""What a cell costs before its weights are there: parameters, and an estimate of memory and FLOPs."""
