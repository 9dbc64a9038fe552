"""What a graphics card does side by side must not depend on which is done first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.settings import TranslationSettings

if TYPE_CHECKING:
    from tests.engine.conftest import Photo
    from tests.engine.translation.conftest import Shot


class Beside(TorchDispatchMode):
    """Holds what was made beside, and counts operations that touch it before the join."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls = self.touched_early = 0
        self._is_beside = False
        self._made: dict[int, Tensor] = {}

    @contextmanager
    def beside(self) -> Iterator[None]:
        self.calls += 1
        self._is_beside = True
        yield
        self._is_beside = False

    def join(self) -> None:
        self._made = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        taken = storages((args, kwargs))
        if self._is_beside:  # views of what is there already were not made beside
            self._made.update(
                {at: each for at, each in storages(output).items() if at not in taken}
            )
        else:
            self.touched_early += bool(taken.keys() & self._made.keys())
        return output


def storages(values: object) -> dict[int, Tensor]:
    """The tensors in arguments or results, by where their numbers lie."""
    tensors = (each for each in tree_leaves(values) if isinstance(each, Tensor))
    return {each.untyped_storage().data_ptr(): each for each in tensors}


@pytest.mark.parametrize("second", [False, True])
def test_what_controlnets_add_is_not_touched_before_it_is_waited_for(
    shot: "Shot",
    photo: "Photo",
    tiny_settings: TranslationSettings,
    monkeypatch: pytest.MonkeyPatch,
    second: bool,
) -> None:
    settings = tiny_settings
    if second:
        controlnet_2 = {"controlnet_2": settings.controlnet, "controlnet_2_image": "tile"}
        settings = TranslationSettings(**{**vars(settings), **controlnet_2})
    shot.paint(photo(64, 64), settings)
    loaded: Any = shot.painter._loaded
    watch = Beside()
    monkeypatch.setattr(loaded.model.execution, "beside", watch.beside)
    monkeypatch.setattr(loaded.model.execution, "join", watch.join)
    with watch:
        shot.paint(photo(64, 64), settings)
    assert watch.calls == 6 + 6 + 2
    assert watch.touched_early == 0
