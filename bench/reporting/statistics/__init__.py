"""What numbers of a comparison allow to be said: plain functions over plain numbers, none knows a record.

Every function that draws random numbers takes an explicit generator, and every one returns None, or
says so, where there are too few numbers to say anything.
"""
