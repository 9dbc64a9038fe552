"""RAFT with random weights: its files, its downloads, and pictures of any size."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

import numpy as np
import pytest
import torch

from engine.errors import ModelUnavailableError
from engine.motion.estimators import flow_estimator
from engine.motion.flow import FlowEstimator
from engine.settings import PropagationSettings

if TYPE_CHECKING:
    from tests.engine.motion.conftest import Picture

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(
        find_spec("torchvision") is None,
        reason="torchvision is not installed; the guide for editors says how to install it",
    ),
]

SMALL_FILE = "raft_small_C_T_V2-01064c6d.pth"


def raft(
    weights: Path | str, name: str = "raft_small", heard: list[str] | None = None
) -> FlowEstimator:
    told: list[str] = [] if heard is None else heard
    settings = PropagationSettings(flow_estimator=name, flow_weights=str(weights))
    return flow_estimator(settings, told.append)


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / SMALL_FILE
    torch.save(raft_small().state_dict(), path)
    return path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torchvision, without internet."""

    def unreachable(*_arguments: object, **_options: object) -> None:
        raise URLError("no network in tests")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    return tmp_path / "checkpoints"


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (64, 48), (130, 128)])
def test_pictures_of_any_size_have_flow_of_their_size(
    size: tuple[int, int], small_weights: Path, noise: "Picture"
) -> None:
    flow = raft(small_weights).estimate(noise(*size, 1), noise(*size, 2)).displacement
    assert flow.shape == (*size, 2)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()


def test_the_same_pictures_give_the_same_bits(small_weights: Path, noise: "Picture") -> None:
    pair = noise(64, 48, 1), noise(64, 48, 2)
    flows = [raft(small_weights).estimate(*pair).displacement for _ in range(2)]
    assert np.array_equal(flows[0], flows[1])


def test_the_weights_of_the_small_network_do_not_fit_the_large_one(
    small_weights: Path, noise: "Picture"
) -> None:
    with pytest.raises(ModelUnavailableError, match=r"does not hold what raft needs.*raft_large_"):
        raft(small_weights, "raft").estimate(noise(8, 8, 1), noise(8, 8, 2))


def test_weights_in_the_cache_of_torchvision_are_used_without_a_word(
    small_weights: Path, hub: Path, noise: "Picture"
) -> None:
    hub.mkdir()
    (hub / SMALL_FILE).write_bytes(small_weights.read_bytes())
    heard: list[str] = []
    pair = noise(64, 48, 1), noise(64, 48, 2)
    cached = raft("", heard=heard).estimate(*pair).displacement
    assert np.array_equal(cached, raft(small_weights).estimate(*pair).displacement)
    assert not heard


def test_a_download_is_announced_and_its_failure_says_what_to_do(
    hub: Path, noise: "Picture"
) -> None:
    heard: list[str] = []
    with pytest.raises(
        ModelUnavailableError, match=f"put that file at {hub / SMALL_FILE}, or give"
    ):
        raft("", heard=heard).estimate(noise(8, 8, 1), noise(8, 8, 2))
    assert heard == [f"The weights of RAFT are downloaded, once, into {hub}."]
