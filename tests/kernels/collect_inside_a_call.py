"""Run in a process of its own, which hangs where a collection inside a call waits for that call.

Prints how many arrays were made and how many were given back.
"""

import gc
from typing import Any

from engine.native import abi
from engine.native.kernels import DeviceArray, InstructionSet, Kernels

ARRAYS = 3


class CollectingLibrary:
    """The kernels of the processor; whatever is asked of them, a collection comes first."""

    def __init__(self) -> None:
        self.released = 0
        self._library = abi.load_library("inbetween_kernels")

    def __getattr__(self, function: str) -> Any:
        gc.collect()
        if function == "inbetween_release":
            self.released += 1
        return getattr(self._library, function)


class Knot:
    """Refers to itself, as an error does to what was at hand when it was raised."""

    def __init__(self, array: DeviceArray) -> None:
        self.array = array
        self.itself = self


def main() -> None:
    gc.disable()
    library = CollectingLibrary()
    device = abi.Device(index=0, threads=1, instruction_set=InstructionSet.BEST, stream=None)
    # Not Kernels.processor(), whose memory is NumPy's: a card's memory has to be given back.
    kernels = Kernels(library, device, name="processor")  # type: ignore[arg-type]
    for _ in range(ARRAYS):
        Knot(kernels.empty((4, 4)))
    kernels.finish()
    print(ARRAYS, library.released)


if __name__ == "__main__":
    main()
