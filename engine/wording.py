"""Counts as people read them."""


def plural(count: int, noun: str) -> str:
    """`1 painting`, `2 paintings`, `20,000 frames`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
