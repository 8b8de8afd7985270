"""What is asked of one run, what came of it, where that is kept, and which runs count. No torch."""
