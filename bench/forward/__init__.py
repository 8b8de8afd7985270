"""The forward pass: logits where they are asked for, and what examples share computed once.

`Pathway` chooses the fastest way that is exact for a network: packed, shared prefix or padded.
"""
