"""Prompts: the words that a model understands, and their weights."""
