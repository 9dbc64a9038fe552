"""The RPCs: each checks, calls and answers."""
