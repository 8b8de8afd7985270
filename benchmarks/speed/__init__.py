"""How fast a step, an evaluation and a study are, against PEFT with transformers' Trainer, to the same digits."""
