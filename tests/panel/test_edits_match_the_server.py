"""What the panel shows of an edit at once is what the server makes of it; undoing leads back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import grpc
import pytest
from inbetween.v1 import render_pb2
from inbetween.v1 import session_pb2 as pb
from inbetween.v1.render_pb2_grpc import RenderServiceStub
from inbetween.v1.session_pb2_grpc import SessionServiceStub
from inbetween.v1.settings_pb2 import (
    KeySettings,
    PropagationSettings,
    Settings,
    TranslationSettings,
)
from PIL import Image

from panel.model.edits import (
    AddKey,
    ChangeKey,
    ChangeSetting,
    DeleteKey,
    Edit,
    ImportPainting,
    MoveKey,
    Value,
    key_at,
    own_values,
)
from panel.model.settings import setting_field
from server.serving import RunningServer
from tests.patience import wait_until

LAST = 23
SETTINGS = Settings(
    keys=KeySettings(key_interval=8),
    translation=TranslationSettings(painter="style", prompt="mosaic", strength=0.8),
    propagation=PropagationSettings(quality="draft"),
)
HAND, OWN, TAKES, PAINTED, FREE = 3, 5, 10, 12, 14
"""Frames: a key frame by hand, one with settings of its own, one with two takes, one that shows a
picture painted by hand, and none.
"""
EditOf = Callable[[Sequence[pb.Take]], Edit]


class Editor:
    """A session with key frames of every kind, and what an edit makes of it."""

    def __init__(self, channel: grpc.Channel, clip: Path, painting: Path) -> None:
        self.stub = SessionServiceStub(channel)
        self.render = RenderServiceStub(channel)
        request = pb.OpenSessionRequest(
            clip=pb.Clip(media_path=str(clip)), settings=SETTINGS, fresh=True
        )
        self.id = self.stub.OpenSession(request).session.id
        own: Mapping[str, Value | None] = {
            "prompt": "frost",
            "seed": 7,
            "prompt_addition": "snow",
            "anchor": True,
        }
        for edit in (
            AddKey(HAND),
            AddKey(OWN),
            ChangeKey(OWN, tuple(own.items()), "Change"),
            AddKey(TAKES),
            ImportPainting(PAINTED, painting, pb.SIZE_RULE_REFUSE, painting.read_bytes()),
        ):
            edit.send(self.stub, self.session)

    @property
    def session(self) -> pb.Session:
        return self.stub.GetSession(pb.GetSessionRequest(session_id=self.id)).session

    def paint_twice(self) -> None:
        """The key frame at TAKES gets two takes, of which the first is chosen."""
        ChangeSetting("translation", "prompt", "frost", "Prompt").send(self.stub, self.session)
        self._paint()
        ChangeSetting("translation", "prompt", "mosaic", "Prompt").send(self.stub, self.session)
        self._paint()

    def _paint(self) -> None:
        frames = render_pb2.StartJobRequest(session_id=self.id, keys_only=True)
        frames.range.first = frames.range.last = TAKES
        self.render.StartJob(frames)
        request = pb.GetSessionRequest(session_id=self.id)
        wait_until(lambda: not self.stub.GetSession(request).jobs)

    def make(self, edit: Edit) -> tuple[pb.Session, pb.Session]:
        """What the panel shows of an edit, and what the server makes of it."""
        before = self.session
        try:
            edit.send(self.stub, before)
        except grpc.RpcError:
            assert self.session == before
        return edit.applied_to(before), self.session


@pytest.fixture(scope="module")
def channel(render_server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(render_server.address) as channel:
        yield channel


@pytest.fixture(scope="module")
def painting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("paintings") / "moon.png"
    Image.new("RGB", (320, 180), (200, 40, 40)).save(path)
    return path


@pytest.fixture
def editor(channel: grpc.Channel, small_clip: Path, painting: Path) -> Editor:
    return Editor(channel, small_clip, painting)


def told(session: pb.Session) -> pb.Session:
    """The session without what only the server knows: revision, takes in use, states."""
    known = pb.Session()
    known.CopyFrom(session)
    known.revision = 0
    del known.key_frames[:]
    known.key_frames.extend(own_values(key) for key in session.key_frames)
    return known


def change(index: int, **changes: str | float | bool | None) -> ChangeKey:
    return ChangeKey(index, tuple(changes.items()), "Change")


def change_setting(name: str, value: str | float | bool | None) -> ChangeSetting:
    setting = setting_field(name)
    return ChangeSetting(setting.group, name, value, setting.shown.label)


EDITS: Mapping[str, Edit] = {
    "add": AddKey(FREE),
    "add where one is": AddKey(HAND),
    "add where an automatic one is": AddKey(8),
    "add before the clip": AddKey(-1),
    "add behind the clip": AddKey(LAST + 1),
    "move": MoveKey(HAND, FREE),
    "move to the first frame's neighbour": MoveKey(HAND, 1),
    "move an automatic one": MoveKey(8, FREE),
    "move one with settings of its own": MoveKey(OWN, FREE),
    "move one that shows a picture painted by hand": MoveKey(PAINTED, FREE),
    "move onto another": MoveKey(HAND, OWN),
    "move onto itself": MoveKey(HAND, HAND),
    "move before the clip": MoveKey(HAND, -1),
    "move behind the clip": MoveKey(HAND, LAST + 1),
    "move none": MoveKey(FREE, FREE + 1),
    "delete": DeleteKey(HAND),
    "delete an automatic one": DeleteKey(16),
    "delete one with settings of its own": DeleteKey(OWN),
    "delete one that shows a picture painted by hand": DeleteKey(PAINTED),
    "delete none": DeleteKey(FREE),
    "delete behind the clip": DeleteKey(LAST + 1),
    "own prompt": change(HAND, prompt="frost"),
    "own prompt of an automatic one": change(8, prompt="frost"),
    "another prompt of its own": change(OWN, prompt="embers"),
    "the same prompt again": change(OWN, prompt="frost"),
    "the clip's prompt again": change(OWN, prompt=None),
    "no prompt addition": change(OWN, prompt_addition=""),
    "own weights": change(HAND, controlnet_weight=0.5, strength=0.25),
    "own strength out of range": change(HAND, strength=1.5),
    "own seed below the least": change(HAND, seed=-1),
    "mark as an anchor": change(HAND, anchor=True),
    "mark an automatic one as an anchor": change(8, anchor=True),
    "take the anchor mark away": change(OWN, anchor=None),
    "anchor mark set to no": change(OWN, anchor=False),
    "new seed of one painted by hand": change(PAINTED, seed=5, chosen_take=None),
    "follow the settings": change(PAINTED, chosen_take=None),
    "a take that is not there": change(HAND, chosen_take="nowhere"),
    "change none": change(FREE, prompt="frost"),
    "prompt": change_setting("prompt", "embers"),
    "the same prompt": change_setting("prompt", "mosaic"),
    "strength": change_setting("strength", 0.5),
    "strength out of range": change_setting("strength", 1.5),
    "painter": change_setting("painter", "diffusion"),
    "painter that is none": change_setting("painter", "rembrandt"),
}
REFUSED = {
    "own strength out of range",
    "own seed below the least",
    "a take that is not there",
    "strength out of range",
    "painter that is none",
}
"""Only the server knows what is wrong: the panel shows them until its sentence comes."""


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_looks_at_once_as_the_server_makes_it_and_undoing_leads_back(
    editor: Editor, name: str
) -> None:
    before = editor.session
    edit = EDITS[name]
    shown, made = editor.make(edit)
    if name in REFUSED:
        assert made == before
        return
    assert told(shown) == told(made)
    if told(made) != told(before):
        assert edit.is_done(made)
        undone, back = editor.make(edit.undone(before))
        assert told(undone) == told(back) == told(before)


TAKE_EDITS: Mapping[str, EditOf] = {
    "choose the older take": lambda takes: change(TAKES, chosen_take=takes[0].address),
    "choose the take in use": lambda takes: change(TAKES, chosen_take=takes[1].address),
    "choose the take of another frame": lambda takes: change(HAND, chosen_take=takes[0].address),
    "new seed": lambda _: change(TAKES, seed=3, chosen_take=None),
    "move": lambda _: MoveKey(TAKES, FREE),
    "delete": lambda _: DeleteKey(TAKES),
}


@pytest.mark.parametrize("chosen", [True, False], ids=["a take chosen", "no take chosen"])
def test_edits_of_a_painted_key_frame_look_at_once_as_the_server_makes_them(
    editor: Editor, *, chosen: bool
) -> None:
    editor.paint_twice()
    key = key_at(editor.session, TAKES)
    assert key is not None
    assert len(key.takes) == 2
    if chosen:
        editor.make(change(TAKES, chosen_take=key.takes[0].address))
    before = editor.session
    for name, edit_of in TAKE_EDITS.items():
        edit = edit_of(key.takes)
        shown, made = editor.make(edit)
        if name == "choose the take of another frame":
            assert told(made) == told(before)
            continue
        assert told(shown) == told(made), name
        undone, back = editor.make(edit.undone(before))
        assert told(undone) == told(back) == told(before), name
        assert list(back.key_frames) == list(before.key_frames), name


@pytest.mark.parametrize("index", [FREE, HAND, 8, PAINTED, TAKES])
def test_an_imported_painting_is_shown_but_for_its_take_and_undoing_leads_back(
    editor: Editor, tmp_path: Path, index: int
) -> None:
    another = tmp_path / "sun.png"
    Image.new("RGB", (320, 180), (240, 220, 40)).save(another)
    before = editor.session
    edit = ImportPainting(index, another, pb.SIZE_RULE_REFUSE, another.read_bytes())
    shown, made = editor.make(edit)
    for session in (shown, made):
        key = key_at(session, index)
        assert key is not None
        key.ClearField("chosen_take")
    assert told(shown) == told(made)
    undone, back = editor.make(edit.undone(before))
    assert told(undone) == told(back) == told(before)


def test_a_painting_behind_the_clip_is_refused(editor: Editor, painting: Path) -> None:
    edit = ImportPainting(LAST + 1, painting, pb.SIZE_RULE_REFUSE, painting.read_bytes())
    shown, made = editor.make(edit)
    assert told(shown) == told(made)


def test_another_key_interval_is_shown_and_its_key_frames_come_from_the_server(
    editor: Editor,
) -> None:
    shown, made = editor.make(change_setting("key_interval", 4))
    assert shown.settings == made.settings
    assert [key.index for key in made.key_frames if key.placement == pb.PLACEMENT_AUTOMATIC] == [
        0, 4, 8, 16, 20, 23,
    ]  # fmt: skip


def test_a_setting_without_a_value_goes_back_to_its_default(editor: Editor) -> None:
    _, made = editor.make(change_setting("strength", None))
    assert setting_field("strength").value(made.settings) == setting_field("strength").default
