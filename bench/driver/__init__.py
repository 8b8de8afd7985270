"""The driver: asks the studies, feeds the engine, writes the records; resumes what was interrupted."""
