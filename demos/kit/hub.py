"""Models from the Hugging Face hub, if they can be had: says at once what is missing and why, and never makes anybody wait.

What the hub's own client does without a network was measured: 23 s of retries where connections are refused, more than two
minutes where packets vanish. So the order is: is the package here; are the files here (no network asked); does the hub answer a
plain connection within 1.5 s; only then a download, in a thread of its own with a deadline, while whoever asks is told how far it is.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from demos.kit.upload_errors import UploadError

ANSWER_SECONDS = 1.5  # within which the hub must take a connection
REMEMBERED_SECONDS = 60.0  # for which that answer is believed
DEADLINE_SECONDS = 900.0  # for a whole download
ON = {"1", "ON", "YES", "TRUE"}


@dataclass(frozen=True, slots=True)
class HubModel:
    """One model: fixed files of a fixed revision."""

    title: str  # as shown
    repo: str  # "facebook/detr-resnet-50"
    revision: str
    files: tuple[str, ...]  # safetensors and JSON only: nothing that is executed when it is read
    packages: tuple[str, ...]  # needed to run it
    megabytes: int


@dataclass
class _Download:
    began: float
    thread: threading.Thread | None = None
    failed: str = ""


@dataclass
class Hub:
    """What is known about the hub; one for the whole process (`HUB`), others in tests."""

    connect: Callable[..., Any] = socket.create_connection
    clock: Callable[[], float] = time.monotonic
    answered: tuple[float, bool] | None = None
    downloads: dict[str, _Download] = field(default_factory=lambda: dict[str, _Download]())
    lock: threading.Lock = field(default_factory=threading.Lock)

    def folder(self, model: HubModel) -> Path:
        """Where the model's files lie.

        Raises:
            UploadError: hub_package, hub_offline, hub_unreachable, hub_loading or hub_failed, at once: they are not here (yet).
        """
        missing = [name for name in model.packages if importlib.util.find_spec(name) is None]
        if missing:
            raise UploadError("hub_package", model=model.title, packages=" ".join(missing))
        if (here := stored(model)) is not None:
            return here
        if reason := switched_off():
            raise UploadError("hub_offline", model=model.title, reason=reason)
        with self.lock:
            under_way = self.downloads.get(model.repo)
            if under_way and under_way.thread and under_way.thread.is_alive():
                if self.clock() - under_way.began < DEADLINE_SECONDS:
                    done = fetched_bytes(model) // 10**6
                    raise UploadError("hub_loading", model=model.title, done=done, all=model.megabytes)
                raise UploadError("hub_failed", model=model.title, reason=f"> {DEADLINE_SECONDS:.0f} s")
            if under_way and under_way.failed and self.clock() - under_way.began < REMEMBERED_SECONDS:
                raise UploadError("hub_failed", model=model.title, reason=under_way.failed)
            if not self.reachable():
                raise UploadError("hub_unreachable", model=model.title, host=host_and_port()[0])
            self._start(model)
        raise UploadError("hub_loading", model=model.title, done=0, all=model.megabytes)

    def reachable(self) -> bool:
        """Whether the hub takes a connection, asked at most once a minute and for at most 1.5 s."""
        now = self.clock()
        if self.answered is None or now - self.answered[0] > REMEMBERED_SECONDS:
            self.answered = (now, self._answers())
        return self.answered[1]

    def _answers(self) -> bool:
        result: list[bool] = []

        def attempt() -> None:  # looking up a name has no time limit of its own
            try:
                self.connect(host_and_port(), timeout=ANSWER_SECONDS).close()
                result.append(True)
            except OSError:
                pass

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(ANSWER_SECONDS)
        return bool(result)

    def _start(self, model: HubModel) -> None:
        download = self.downloads[model.repo] = _Download(self.clock())

        def fetch() -> None:
            try:
                download_files(model)
            except Exception as error:  # whatever the client raises: the visitor gets one sentence
                download.failed = type(error).__name__

        download.thread = threading.Thread(target=fetch, daemon=True)
        download.thread.start()


HUB = Hub()


def host_and_port() -> tuple[str, int]:
    """Of the hub, or of the mirror that HF_ENDPOINT names.

    >>> host_and_port()
    ('huggingface.co', 443)
    """
    parts = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    return parts.hostname or "huggingface.co", parts.port or (80 if parts.scheme == "http" else 443)


def switched_off() -> str:
    """Name of the switch that forbids the network, or ""."""
    return next((n for n in ("GLASSBOX_OFFLINE", "HF_HUB_OFFLINE") if os.environ.get(n, "").strip().upper() in ON), "")


def stored(model: HubModel) -> Path | None:
    """Folder of the model's files if all are in the hub's cache; asks no network."""
    from huggingface_hub import try_to_load_from_cache

    found = [try_to_load_from_cache(model.repo, name, revision=model.revision) for name in model.files]
    paths = [Path(path) for path in found if isinstance(path, str)]
    return paths[0].parent if paths and len(paths) == len(model.files) else None


def fetched_bytes(model: HubModel) -> int:
    """Bytes of the model that lie in the cache so far."""
    from huggingface_hub.constants import HF_HUB_CACHE

    blobs = Path(HF_HUB_CACHE) / f"models--{model.repo.replace('/', '--')}" / "blobs"
    return sum(path.stat().st_size for path in blobs.glob("*")) if blobs.is_dir() else 0


def download_files(model: HubModel) -> None:
    from huggingface_hub import hf_hub_download

    for name in model.files:
        hf_hub_download(model.repo, name, revision=model.revision, etag_timeout=5)
