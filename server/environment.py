"""What the libraries read from the environment when they are imported."""

import os
from collections.abc import Mapping
from types import MappingProxyType

ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        # Threads that wait give their processor to others. Spinning, PyTorch paints many times
        # slower beside an editor at work: 30 s in place of 6 s were measured on two cores that
        # others used too.
        "OMP_WAIT_POLICY": "PASSIVE",
        # Nothing leaves this machine that nobody asked for. With a model that is fetched by its
        # name, the hub is otherwise told which libraries and versions fetch it.
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # ONNX Runtime, which diffusers imports where another package has brought it, reports to
        # its maker and leaves the number of the machine under the home folder.
        "ORT_DISABLE_TELEMETRY": "1",
    }
)
"""In every process of ours, unless the user has set it otherwise."""


def prepare_environment() -> None:
    """To be called before a library is imported; processes that are started then inherit it."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
