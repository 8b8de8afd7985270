"""The studies: from an experiment file to cells, and the driver that asks, tells and resumes."""
