"""GMFlow (Xu et al. 2022), without its refinement, with weights that the editor has."""

from typing import TYPE_CHECKING

from engine.motion.flow_network import FlowNetwork

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def _build() -> "Module":
    from engine.motion.gmflow_network import GmFlowNetwork

    return GmFlowNetwork()


def _infer(module: "Module", first: "Tensor", second: "Tensor") -> "Tensor":
    flow: Tensor = module(first, second)
    return flow


GMFLOW = FlowNetwork(
    name="gmflow",
    packages=("torch",),
    multiple=16,  # cells of 8 pixels, in two windows along each side
    smallest_side=32,
    weights="GMFlow without refinement, for example gmflow_sintel-0c07dcb3.pth",
    build=_build,
    infer=_infer,
)
