"""The flow estimators there are. Nothing here imports torch before a flow is estimated."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from engine.errors import NotFoundError
from engine.motion.flow import DisFlow, FlowEstimator
from engine.motion.flow_network import Tell
from engine.motion.gmflow import GMFLOW
from engine.motion.network_flow import NetworkFlow
from engine.motion.raft import RAFT, RAFT_SMALL
from engine.settings import PropagationSettings


def _dis(_weights: str, _tell: Tell) -> FlowEstimator:
    return DisFlow()


FLOW_ESTIMATORS: Mapping[str, Callable[[str, Tell], FlowEstimator]] = MappingProxyType(
    {
        "dis": _dis,
        "raft": partial(NetworkFlow, RAFT),
        "raft_small": partial(NetworkFlow, RAFT_SMALL),
        "gmflow": partial(NetworkFlow, GMFLOW),
    }
)
"""By their names in settings; each is made of `flow_weights` and of who hears of a download."""


def flow_estimator(
    settings: PropagationSettings, tell: Tell = lambda _sentence: None
) -> FlowEstimator:
    """The estimator that the settings name, which loads nothing before its first flow.

    `tell` hears what the editor should know, such as a download. Raises NotFoundError for an
    unknown name, InvalidValueError for weights that it does not take.
    """
    name = settings.flow_estimator
    if name not in FLOW_ESTIMATORS:
        raise NotFoundError(
            f'There is no flow estimator "{name}": choose {" or ".join(FLOW_ESTIMATORS)}.'
        )
    return FLOW_ESTIMATORS[name](settings.flow_weights, tell)


def flow_recipe_of(settings: PropagationSettings) -> str:
    """What the flows of these settings depend on, for `make_plan`."""
    return flow_estimator(settings).recipe
