"""The machine that this process runs on: its memory, and the processors that it may use."""

import os

import psutil


def usable_cores() -> int:
    """How many processors this process may use; macOS does not restrict that, so all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spare_memory_bytes() -> int:
    """Main memory that is free beyond a quarter of all, which others may need."""
    memory = psutil.virtual_memory()
    return int(memory.available - memory.total // 4)
