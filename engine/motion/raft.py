"""RAFT (Teed and Deng 2020) as torchvision has it."""

from collections.abc import Mapping
from functools import partial
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from engine.errors import ModelUnavailableError
from engine.motion.flow_network import FlowNetwork, HubWeights, Tell

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def _infer(module: "Module", first: "Tensor", second: "Tensor") -> "Tensor":
    refined: list[Tensor] = module(2 * first - 1, 2 * second - 1)
    return refined[-1]


def _build(builder: str) -> "Module":
    module: Module = getattr(_torchvision_flow(), builder)()
    return module


def _fetch(enumeration: str, name: str, tell: Tell) -> Mapping[str, "Tensor"]:
    """The weights of that name, from the cache of torchvision or downloaded into it."""
    import torch.hub

    weights = getattr(_torchvision_flow(), enumeration)[name]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    if not cached.exists():
        tell(f"The weights of RAFT are downloaded, once, into {cached.parent}.")
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(
            progress=True, check_hash=True, weights_only=True
        )
    except (OSError, HTTPException, RuntimeError, EOFError, UnpicklingError) as error:
        raise ModelUnavailableError(
            f"The weights of RAFT could not be had from {weights.url}: connect to the internet "
            f"once, or put that file at {cached}, or give the path of one as flow_weights."
        ) from error
    return state


def _torchvision_flow() -> Any:
    try:
        from torchvision.models import optical_flow
    except (ImportError, RuntimeError) as error:  # one for another torch raises a RuntimeError
        raise ModelUnavailableError(
            f"torchvision cannot be used ({error}): install the one that belongs to the torch that "
            "is installed (the guide for editors says how), or choose the flow_estimator dis."
        ) from error
    return optical_flow


_LARGE_WEIGHTS, _SMALL_WEIGHTS = "C_T_SKHT_V2", "C_T_V2"

# The smallest side leaves 2 cells on the coarsest of the four levels of correlations, each half as
# large as the one before, the first an eighth of the picture.
RAFT = FlowNetwork(
    name="raft",
    packages=("torch", "torchvision"),
    multiple=8,
    smallest_side=128,
    weights="torchvision's RAFT, for example raft_large_C_T_SKHT_V2-ff5fadd5.pth",
    build=partial(_build, "raft_large"),
    infer=_infer,
    hub_weights=HubWeights(_LARGE_WEIGHTS, partial(_fetch, "Raft_Large_Weights", _LARGE_WEIGHTS)),
)
RAFT_SMALL = FlowNetwork(
    name="raft_small",
    packages=("torch", "torchvision"),
    multiple=8,
    smallest_side=128,
    weights="torchvision's RAFT small, for example raft_small_C_T_V2-01064c6d.pth",
    build=partial(_build, "raft_small"),
    infer=_infer,
    hub_weights=HubWeights(_SMALL_WEIGHTS, partial(_fetch, "Raft_Small_Weights", _SMALL_WEIGHTS)),
)
