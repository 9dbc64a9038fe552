"""How much memory work takes."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

INTERVAL_SECONDS = 0.2
MIB = 1 << 20


class PeakMemory:
    """The largest memory of a process and its descendants together; pages they share count once."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak_bytes = 0

    @property
    def mib(self) -> float:
        """The peak so far."""
        return self._peak_bytes / MIB

    def sample(self) -> None:
        """Looks at the processes as they are now."""
        total = sum(_proportional_bytes(pid) for pid in _family(self._pid))
        self._peak_bytes = max(self._peak_bytes, total)


@contextmanager
def watched_memory(pid: int) -> Iterator[PeakMemory]:
    """Samples a process and its descendants until the block ends. Linux only."""
    peak = PeakMemory(pid)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(INTERVAL_SECONDS):
            peak.sample()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _family(pid: int) -> Iterator[int]:
    yield pid
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(tasks).split():
            yield from _family(int(child))


def _proportional_bytes(pid: int) -> int:
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: Path) -> str:
    """Empty where the process has ended meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""


def forget_peak_memory() -> None:
    """The peak of this process begins again with what it holds now, where Linux lets it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib() -> float | None:
    """The most memory that this process has held at once; None where the system does not tell."""
    for line in _read(Path("/proc/self/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / MIB
    return None


def device_memory_mib() -> float | None:
    """What all programs together hold on the CUDA device that this thread works with, if any."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    if driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)):
        return None
    return (total.value - free.value) / MIB
