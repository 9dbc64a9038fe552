"""Key frames painted against each other, in the store that a worker uses."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import engine.translation
from engine.errors import UnreadableMediaError
from engine.motion.flow import DisFlow
from engine.native.kernels import Kernels
from engine.pipeline import execute
from engine.plan import Blend, Paint, Plan, Propagate, SourceFacts, make_plan
from engine.report import Stage
from engine.settings import RenderSettings, TranslationSettings
from engine.translation.painter import Trajectory
from engine.translation.painters import recipe_of
from engine.types import Clip, FloatArray, Frame, FrameRange, FrameSize, KeyFrame, Precision
from server.session_folder import SessionFolder
from server.work.disk_store import DiskStore

POCKET = Path(next(iter(engine.translation.__path__))) / "pocket_model"
SETTINGS = RenderSettings(
    translation=TranslationSettings(
        painter="diffusion",
        prompt="oil painting",
        strength=0.6,
        guidance_scale=3.0,
        steps=5,
        model=str(POCKET),
        controlnet=str(POCKET / "controlnet"),
    )
)


class Panning:
    """A clip that moves over a picture, with a cut to another one."""

    def __init__(self) -> None:
        noise = np.random.default_rng(0).random((2, 64, 128, 3), np.float32)
        self._pictures = [cv2.GaussianBlur(each, (0, 0), 3) * 4 - 1.5 for each in noise]
        self.clip = Clip("panning", FrameRange(0, 15), FrameSize(64, 64), Fraction(25))

    def read(self, index: int) -> Frame:
        picture = self._pictures[index // 12]
        rgb = picture[:, 2 * index : 2 * index + 64].clip(0, 1)
        return Frame(index, np.dstack([rgb, np.ones((64, 64, 1), np.float32)]))

    def digest(self, index: int) -> str:
        return f"panning {index}"

    def close(self) -> None:
        pass


class Watcher:
    def __init__(self) -> None:
        self.painted: list[int] = []

    def progress(self, stage: Stage, frame: int, step: int = 0, steps: int = 0) -> None:
        pass

    def preview(self, frame: int, make: Callable[[], FloatArray]) -> None:
        pass

    def done(self, step: Paint | Propagate | Blend, seconds: float, *, reused: bool) -> None:
        if not reused:
            self.painted.append(step.frame)

    def notice(self, text: str) -> None:
        pass

    def check_cancelled(self) -> None:
        pass


def plan_of(keys: Sequence[KeyFrame]) -> Plan:
    source = Panning()
    frames = source.clip.frame_range
    digests = {index: source.digest(index) for index in frames.indices}
    facts = SourceFacts(frames, digests, cuts=frozenset([12]))
    plan = make_plan(facts, keys, SETTINGS, frames, recipe_of, flow_recipe="dis")
    return replace(plan, intervals=())


def store_in(folder: Path, plan: Plan) -> DiskStore:
    session = SessionFolder(folder)
    session.make()
    return DiskStore(session, plan.paints, {}, lambda index, frame: None)


def paint(plan: Plan, store: DiskStore) -> list[int]:
    """Does what the store lacks, and tells which frames those were."""
    watcher = Watcher()
    execute(plan, Panning(), SETTINGS, store, watcher, DisFlow(), Kernels.open("cpu"))
    return watcher.painted


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


KEYS = [KeyFrame(index) for index in (0, 3, 11, 12, 15)]


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a session in which all of `KEYS` are painted."""
    folder = tmp_path_factory.mktemp("painted")
    plan = plan_of(KEYS)
    assert paint(plan, store_in(folder, plan)) == [0, 3, 11, 12, 15]
    return folder


def test_any_key_frame_painted_again_alone_has_the_same_bits(painted: Path) -> None:
    plan = plan_of(KEYS)
    store = store_in(painted, plan)
    for frame in (3, 15):
        take = plan.takes[frame]
        pixels, way = store.load(take).pixels, store.load_trajectory(take)
        SessionFolder(painted).take(take).unlink()
        assert paint(plan, store) == [frame]
        again = store.load_trajectory(take)
        assert way is not None
        assert again is not None
        assert np.array_equal(store.load(take).pixels, pixels)
        assert np.array_equal(again.latents, way.latents)
        assert (again.model, again.times) == (way.model, way.times)


def test_beside_a_take_stands_which_models_painted_it(painted: Path) -> None:
    take = SessionFolder(painted).take(plan_of(KEYS).takes[0])
    base, controlnet = json.loads(take.with_suffix(".json").read_text())["models"]
    assert (base["setting"], controlnet["setting"]) == ("model", "controlnet")
    weights = POCKET / "vae" / "diffusion_pytorch_model.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert base["sha256"]["vae/diffusion_pytorch_model.safetensors"] == digest
    assert base["licence"] == "cc-by-sa-4.0"


def test_a_shot_is_painted_as_if_there_were_no_other(painted: Path, tmp_path: Path) -> None:
    both, second = plan_of(KEYS), plan_of(KEYS[3:])
    store = store_in(tmp_path, second)
    assert paint(second, store) == [12, 15]
    for frame in (12, 15):
        expected = store_in(painted, both).load(both.takes[frame]).pixels
        assert np.array_equal(store.load(second.takes[frame]).pixels, expected)


def test_painted_and_accepted_takes_live_in_one_shot_with_generated_ones(painted: Path) -> None:
    by_hand: FloatArray = np.full((64, 64, 3), 0.4, np.float32)
    by_hand[:, :32] = (0.9, 0.2, 0.1)
    accepted = plan_of(KEYS).takes[3]
    keys = [KeyFrame(0, take="by hand"), KeyFrame(2), KeyFrame(3, take=accepted), KeyFrame(11)]
    plan = plan_of(keys)
    store = store_in(painted, plan)
    SessionFolder(painted).save_take("by hand", by_hand, Precision.FLOAT, {})
    assert paint(plan, store) == [2, 11]
    assert store.load_trajectory("by hand") is None
    assert store.load_trajectory(accepted) is not None


def test_a_take_keeps_its_latents_beside_it(tmp_path: Path) -> None:
    store = store_in(tmp_path, plan_of(KEYS))
    latents = np.random.default_rng(0).standard_normal((2, 4, 8, 8)).astype(np.float16)
    store.save_trajectory("take", Trajectory("model", (501, 1), latents))
    loaded = store.load_trajectory("take")
    assert loaded is not None
    assert (loaded.model, loaded.times) == ("model", (501, 1))
    assert loaded.latents.dtype == np.float16
    assert np.array_equal(loaded.latents, latents)
    assert not store.has("take")
    assert store.load_trajectory("imported") is None


def test_a_take_tells_its_drift_as_long_as_its_description_is_there(painted: Path) -> None:
    folder, plan = SessionFolder(painted), plan_of(KEYS)
    assert folder.load_drift(plan.takes[0]) is None  # nothing anchors it
    drift = folder.load_drift(plan.takes[3])
    assert drift is not None
    assert drift.color > 0
    description = folder.take(plan.takes[3]).with_suffix(".json")
    description.write_text("cut o")
    assert folder.load_drift(plan.takes[3]) is None
    description.unlink()
    assert folder.load_drift(plan.takes[3]) is None


def test_damaged_latents_are_told_with_what_to_do(tmp_path: Path) -> None:
    store = store_in(tmp_path, plan_of(KEYS))
    path = SessionFolder(tmp_path).trajectory("take")
    path.parent.mkdir()
    path.write_bytes(b"cut off")
    with pytest.raises(UnreadableMediaError, match=f"{path} is damaged: delete it"):
        store.load_trajectory("take")
