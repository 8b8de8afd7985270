"""What `Method.attach` returns: a base model with something trainable in it."""
