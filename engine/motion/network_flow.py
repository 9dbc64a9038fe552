"""Flow estimators that are neural networks. torch is imported when the first flow is estimated."""

import json
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InvalidValueError, ModelUnavailableError, NotFoundError
from engine.graphics_card import graphics_card
from engine.motion.flow_network import FlowNetwork, Tell
from engine.types import FloatArray, Flow

if TYPE_CHECKING:
    from torch.nn import Module


class NetworkFlow:
    """Flow by a network: on the graphics card where there is one, at the size of the pictures.

    The same two pictures give the same bits on the same device; on the CPU with the same number of
    threads, with another one they differ by less than a thousandth of a pixel.
    """

    def __init__(self, network: FlowNetwork, weights: str, tell: Tell) -> None:
        self._network = network
        self._weights = weights
        self._tell = tell

    @property
    def name(self) -> str:
        return self._network.name

    @property
    def recipe(self) -> str:
        self._check_packages()
        return json.dumps(
            {
                "estimator": self.name,
                "weights": self._weights_identity(),
                "device": graphics_card() or "cpu",
                "libraries": {name: version(name) for name in self._network.packages},
            }
        )

    def prepare(self) -> None:
        self._module  # noqa: B018 - loaded by being asked for

    def estimate(self, first: FloatArray, second: FloatArray) -> Flow:
        from engine.motion.inference import run_network

        return Flow(run_network(self._network, self._module, first, second))

    @cached_property
    def _module(self) -> "Module":
        self._check_packages()
        self._weights_identity()
        from engine.motion.inference import load_network

        return load_network(self._network, self._weights, self._tell)

    def _check_packages(self) -> None:
        missing = [name for name in self._network.packages if find_spec(name) is None]
        if missing:
            raise ModelUnavailableError(
                f"The flow estimator {self.name} needs {' and '.join(missing)}, which is not "
                "installed: install it (the guide for editors says how), or choose dis."
            )

    def _weights_identity(self) -> object:
        """What identifies the weights in an address: the file by path, size and time of change."""
        if self._weights:
            return _file_facts(self._weights, self._network)
        if self._network.hub_weights is None:
            raise InvalidValueError(
                f"flow_weights is empty, and {self.name} comes without weights: give the path of "
                f"a file with {self._network.weights}, or choose another flow_estimator."
            )
        return self._network.hub_weights.name


def _file_facts(weights: str, network: FlowNetwork) -> list[object]:
    path = Path(weights).expanduser()
    try:
        facts = path.stat() if path.is_file() else None
    except (OSError, ValueError):  # a name too long, a folder that may not be entered
        facts = None
    if facts is None:
        raise NotFoundError(
            f'The flow_weights "{weights}" is no file that can be read: give the whole path of '
            f"one with {network.weights}."
        )
    return [str(path), facts.st_size, facts.st_mtime_ns]
