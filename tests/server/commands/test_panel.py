"""`inbetween panel`, where no window can be opened."""

from typing import Any

import pytest

from tests.screen import hide_screen


def test_a_machine_without_a_screen_is_told_so(
    inbetween: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hide_screen(monkeypatch)
    result = inbetween("panel")
    assert result.exit_code > 0
    told = capfd.readouterr().err
    assert told.startswith("The panel needs a screen, and there is none")
    assert told.count("\n") == 1
