"""Who is told: functions of installed packages, and whoever asks the application."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from batchwright.config.settings import Settings
from batchwright.engine import events
from batchwright.engine.subscribers import installed_subscribers
from batchwright.operations.app import make_application


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched for packages, with one that names two subscribers; the second is broken."""
    info = tmp_path / "listener-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: listener\nVersion: 1.0\n", encoding="utf-8")
    named = "[batchwright.subscribers]\nbroken = listener_missing:hear\ngood = listener_module:hear\n"
    (info / "entry_points.txt").write_text(named, encoding="utf-8")
    module = "heard = []\n\n\ndef hear(event):\n    heard.append(event)\n"
    (tmp_path / "listener_module.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def heard() -> list[events.Event]:
    import listener_module  # type: ignore[import-not-found]  # of the fixture

    published: list[events.Event] = listener_module.heard
    return published


@pytest.mark.usefixtures("install")
def test_a_function_of_an_installed_package_is_told_of_every_event(tmp_path: Path) -> None:
    app = make_application(Settings(database_url=f"sqlite:///{tmp_path / 'b.db'}"))
    with capture_logs():
        app.events.publish(events.RunPaused("JR-00000001"))
    assert heard() == [events.RunPaused("JR-00000001")]


@pytest.mark.usefixtures("install")
def test_a_subscriber_that_cannot_be_imported_is_logged_and_the_others_are_told() -> None:
    with capture_logs() as lines:
        found = list(installed_subscribers())
    assert [one.__name__ for one in found] == ["hear"]
    assert [(line["log_level"], line["subscriber"]) for line in lines] == [("error", "listener_missing:hear")]


def test_the_metrics_of_an_application_count_what_it_is_told(tmp_path: Path) -> None:
    app = make_application(Settings(database_url=f"sqlite:///{tmp_path / 'b.db'}"))
    metrics = app.metrics
    with capture_logs():
        app.events.publish(events.RunTakenOver("JR-00000001", "elsewhere/1"))
    assert metrics.registry.get_sample_value("batchwright_takeovers_total") == 1
