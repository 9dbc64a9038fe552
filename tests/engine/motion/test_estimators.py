"""Which flow estimators can be chosen, and what is said where one cannot work."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InvalidValueError, ModelUnavailableError, NotFoundError
from engine.motion.estimators import FLOW_ESTIMATORS, flow_estimator, flow_recipe_of
from engine.settings import PropagationSettings


def settings(estimator: str, weights: str | Path = "") -> PropagationSettings:
    return PropagationSettings(flow_estimator=estimator, flow_weights=str(weights))


def test_dis_is_the_default() -> None:
    assert flow_estimator(PropagationSettings()).name == "dis"


def test_planning_with_a_network_does_not_import_torch(gmflow_weights: Path) -> None:
    program = f"""
import sys
from engine.motion.estimators import flow_recipe_of
from engine.settings import PropagationSettings
flow_recipe_of(PropagationSettings(flow_estimator="gmflow", flow_weights={str(gmflow_weights)!r}))
print("torch" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout == "False\n", told.stderr


def test_an_estimator_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(NotFoundError, match='no flow estimator "farneback": choose dis or raft'):
        flow_estimator(settings("farneback"))


def test_weights_lie_idle_beside_an_estimator_that_has_none() -> None:
    assert flow_recipe_of(settings("dis", "gm.pth")) == flow_recipe_of(settings("dis"))


def test_gmflow_without_weights_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="flow_weights is empty, and gmflow comes without"):
        flow_recipe_of(settings("gmflow"))


@pytest.mark.parametrize("path", ["gone.pth", ".", "~nobody/gm.pth", "x" * 5000, "gm\0.pth"])
def test_weights_that_are_not_there_are_refused(path: str) -> None:
    with pytest.raises(NotFoundError, match="is no file that can be read: give the whole path"):
        flow_recipe_of(settings("gmflow", path))


@pytest.mark.parametrize("estimator", ["raft", "raft_small"])
def test_raft_without_torchvision_says_what_to_install(
    estimator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec

    def without_torchvision(name: str, package: str | None = None) -> Any:
        return None if name == "torchvision" else find_spec(name, package)

    monkeypatch.setattr("engine.motion.network_flow.find_spec", without_torchvision)
    with pytest.raises(ModelUnavailableError, match=r"needs torchvision.*install it"):
        flow_recipe_of(settings(estimator))


def test_another_estimator_and_another_weights_file_are_other_recipes(
    gmflow_weights: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "gmflow.pth"
    weights.write_bytes(gmflow_weights.read_bytes())
    with_them = flow_recipe_of(settings("gmflow", weights))
    assert with_them == flow_recipe_of(settings("gmflow", weights))
    assert with_them != flow_recipe_of(settings("dis"))
    os.utime(weights, ns=(1, 1))
    assert with_them != flow_recipe_of(settings("gmflow", weights))


def test_each_estimator_has_the_name_by_which_it_is_chosen(gmflow_weights: Path) -> None:
    for name in FLOW_ESTIMATORS:
        weights = "" if name == "dis" else gmflow_weights
        assert flow_estimator(settings(name, weights)).name == name
