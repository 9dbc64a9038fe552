"""Networks for optical flow in PyTorch: loaded without running code of their files, and run so
that the same pictures give the same bits.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import Module

from engine.errors import ModelUnavailableError, OutOfMemoryError
from engine.graphics_card import graphics_card
from engine.motion.flow_network import FlowNetwork, Tell
from engine.types import FloatArray


def load_network(network: FlowNetwork, weights: str, tell: Tell) -> Module:
    """The network with the weights of that file, or with its hub's where none is named.

    Raises ModelUnavailableError for a file that holds anything else, and for weights that cannot be
    fetched.
    """
    module = network.build()
    if weights:
        state = _read_state(weights, network)
        _check_fits(module, state, weights, network)
    else:
        assert network.hub_weights is not None  # noqa: S101 - its recipe has been asked for
        state = network.hub_weights.fetch(tell)
    module.load_state_dict(state)
    return module.eval().to("cuda" if graphics_card() else "cpu")


def run_network(
    network: FlowNetwork, module: Module, first: FloatArray, second: FloatArray
) -> FloatArray:
    """The displacement [H, W, 2] from `first` to `second`, both [H, W, 3] in painting space.

    The pictures are continued by their border to a size that the network takes, evenly on all
    sides. Raises OutOfMemoryError.
    """
    height, width = first.shape[:2]
    (above, _), (left, _) = padding = tuple(_padding(side, network) for side in (height, width))
    pictures = [np.pad(rgb, (*padding, (0, 0)), mode="edge").clip(0, 1) for rgb in (first, second)]
    device = next(module.parameters()).device
    with _memory_errors(network, width, height), _repeatable():
        tensors = [
            torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32))
            for rgb in pictures
        ]
        flow = network.infer(module, *(tensor.to(device) for tensor in tensors))[0].cpu().numpy()
    inside = flow[:, above : above + height, left : left + width]
    return np.ascontiguousarray(inside.transpose(1, 2, 0), np.float32)


def _padding(side: int, network: FlowNetwork) -> tuple[int, int]:
    """Pixels before and behind a side of that many pixels."""
    multiple = network.multiple
    wanted = max(network.smallest_side, -(-side // multiple) * multiple)
    before = (wanted - side) // 2
    return before, wanted - side - before


def _read_state(weights: str, network: FlowNetwork) -> Mapping[str, Any]:
    """The tensors of a file by their names; a training's checkpoint keeps them under "model"."""
    path = Path(weights).expanduser()
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        return dict(content.get("model", content))
    except Exception as error:  # a file of anything fails in any way
        raise _unfitting(weights, network) from error


def _check_fits(
    module: Module, state: Mapping[str, Any], weights: str, network: FlowNetwork
) -> None:
    wanted = {name: tensor.shape for name, tensor in module.state_dict().items()}
    given = {name: getattr(tensor, "shape", None) for name, tensor in state.items()}
    if wanted != given:
        raise _unfitting(weights, network)


def _unfitting(weights: str, network: FlowNetwork) -> ModelUnavailableError:
    return ModelUnavailableError(
        f'The flow_weights "{weights}" does not hold what {network.name} needs: give a file with '
        f"{network.weights}."
    )


@contextmanager
def _repeatable() -> Iterator[None]:
    """No gradients, and only algorithms that give the same bits every time."""
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True):
        yield


@contextmanager
def _memory_errors(network: FlowNetwork, width: int, height: int) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if type(error) is RuntimeError and "can't allocate memory" not in str(error):
            raise
        raise OutOfMemoryError(
            f"There is too little memory for the flow estimator {network.name} at {width}x{height}:"
            " close other programs, or choose the flow_estimator dis."
        ) from error
