"""promptscale: which way of adapting a frozen language model is best, at which size, and at what cost?"""

__version__ = "0.1.0"
