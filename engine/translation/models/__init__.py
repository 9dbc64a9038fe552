"""The files of models: where they are, what they are, and what is added to them."""
