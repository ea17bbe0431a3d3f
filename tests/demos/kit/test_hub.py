"""demos.kit.hub: what is missing is said at once, whatever the network does; nothing is asked that need not be."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from demos.kit import hub
from demos.kit.hub import ANSWER_SECONDS, DEADLINE_SECONDS, REMEMBERED_SECONDS, Hub, HubModel
from demos.kit.upload_errors import UploadError

MODEL = HubModel("Tiny", "somebody/tiny", "main", ("config.json", "model.safetensors"), ("numpy",), 2)


class Line:
    """A connection that was taken."""

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _nothing_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "stored", lambda model: None)
    monkeypatch.setattr(hub, "fetched_bytes", lambda model: 1_500_000)
    for name in ("HF_HUB_OFFLINE", "GLASSBOX_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def refused(hub_: Hub, model: HubModel = MODEL) -> UploadError:
    with pytest.raises(UploadError) as caught:
        hub_.folder(model)
    for language in ("en", "zh"):
        assert model.title in caught.value.sentence(language)
    return caught.value


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("the network was asked")


def test_a_missing_package_is_named_before_anything_else() -> None:
    model = HubModel("Tiny", "somebody/tiny", "main", ("a",), ("numpy", "no_such_package_1", "no_such_package_2"), 2)
    error = refused(Hub(connect=never), model)
    assert error.code == "hub_package"
    assert error.fields["packages"] == "no_such_package_1 no_such_package_2"


def test_stored_files_need_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "stored", lambda model: tmp_path)
    assert Hub(connect=never).folder(MODEL) == tmp_path


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "GLASSBOX_OFFLINE"])
def test_a_switch_forbids_the_network(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "true")
    error = refused(Hub(connect=never))
    assert (error.code, error.fields["reason"]) == ("hub_offline", name)


def test_a_refused_connection_is_told_at_once_and_remembered() -> None:
    asked: list[Any] = []

    def refuse(address: Any, timeout: float) -> Any:
        asked.append(address)
        raise ConnectionRefusedError

    now = [100.0]
    mine = Hub(connect=refuse, clock=lambda: now[0])
    assert refused(mine).code == "hub_unreachable"
    assert refused(mine).code == "hub_unreachable"
    assert asked == [("huggingface.co", 443)]
    now[0] += REMEMBERED_SECONDS + 1
    assert refused(mine).code == "hub_unreachable"
    assert len(asked) == 2


def test_a_black_hole_costs_no_more_than_its_limit() -> None:
    """Looking up the name or connecting never returns; the visitor is told all the same."""
    release = threading.Event()
    began = time.perf_counter()
    assert refused(Hub(connect=lambda *_, **__: Line() if release.wait(20) else None)).code == "hub_unreachable"
    took = time.perf_counter() - began
    release.set()
    assert ANSWER_SECONDS <= took < ANSWER_SECONDS + 1


def test_a_real_socket_that_listens_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert Hub().reachable()
    assert not Hub().reachable()


def test_a_download_runs_in_the_background_and_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    release, fetched = threading.Event(), list[HubModel]()

    def download(model: HubModel) -> None:
        release.wait(20)
        fetched.append(model)

    monkeypatch.setattr(hub, "download_files", download)
    mine = Hub(connect=lambda *_, **__: Line())
    began = time.perf_counter()
    first, second = refused(mine), refused(mine)
    assert time.perf_counter() - began < 1
    assert (first.code, first.fields["done"], first.fields["all"]) == ("hub_loading", 0, 2)
    assert (second.code, second.fields["done"]) == ("hub_loading", 1)
    release.set()
    thread = mine.downloads[MODEL.repo].thread
    assert thread is not None
    thread.join(5)
    assert fetched == [MODEL]  # once, though it was asked for twice
    monkeypatch.setattr(hub, "stored", lambda model: tmp_path)
    assert mine.folder(MODEL) == tmp_path


def test_a_download_that_fails_says_so_and_may_be_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: HubModel) -> None:
        raise PermissionError("secret path")

    monkeypatch.setattr(hub, "download_files", broken)
    now = [0.0]
    mine = Hub(connect=lambda *_, **__: Line(), clock=lambda: now[0])
    assert refused(mine).code == "hub_loading"
    thread = mine.downloads[MODEL.repo].thread
    assert thread is not None
    thread.join(5)
    error = refused(mine)
    assert (error.code, error.fields["reason"]) == ("hub_failed", "PermissionError")
    assert "secret" not in error.sentence("en")
    now[0] += REMEMBERED_SECONDS + 1
    assert refused(mine).code == "hub_loading"


def test_a_download_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    release, now = threading.Event(), [0.0]
    monkeypatch.setattr(hub, "download_files", lambda model: release.wait(20))
    mine = Hub(connect=lambda *_, **__: Line(), clock=lambda: now[0])
    assert refused(mine).code == "hub_loading"
    now[0] += DEADLINE_SECONDS + 1
    assert refused(mine).code == "hub_failed"
    release.set()


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("", ("huggingface.co", 443)),
        ("http://mirror.example:8080/x", ("mirror.example", 8080)),
        ("http://m", ("m", 80)),
    ],
)
def test_mirrors_are_honoured(monkeypatch: pytest.MonkeyPatch, endpoint: str, expected: tuple[str, int]) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert hub.host_and_port() == expected


def test_an_empty_cache_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert hub.stored(HubModel("No", "nobody/no-such-model", "main", ("config.json",), (), 1)) is None
    assert hub.fetched_bytes(HubModel("No", "nobody/no-such-model", "main", ("config.json",), (), 1)) == 0
