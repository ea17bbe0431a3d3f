"""Long work that says how far it is and stops when it is told to.

An event's work runs in a thread of a pool, under the number of the question that it answers; the event waits for it, but no longer
once somebody has said stop. Long loops in `demos` call `progress`, which is where an abandoned computation ends; `core` knows
nothing of this. The stage asks `follow` how far its question is: the question's number carries a secret of the page, so nobody
follows or stops what others do.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

Value = TypeVar("Value")

WORKERS = 32  # threads at most; as many as Gradio has for events
REMEMBERED = 256  # questions that were stopped before they began
LONGEST_QUESTION = 64  # characters


class Stopped(BaseException):  # as asyncio.CancelledError: no `except Exception` on the way swallows it
    """The visitor does not want the answer any more."""


@dataclass(slots=True)
class Job:
    """What is known of one question while it is computed."""

    done: int = 0
    total: int = 0  # 0: nothing is known of its length
    what: str = ""  # key of labels.json's `progress`
    running: bool = False
    stopped: bool = False
    edition: int = 0  # how many interim results have been published
    interim: Any = None  # the last of them
    draw: Callable[[Any], str] | None = None  # an interim result to a stage value
    changed: threading.Event = field(default_factory=threading.Event)  # it has ended, or shall end


_jobs: OrderedDict[str, Job] = OrderedDict()
_lock = threading.Lock()
_pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="job")
_current: ContextVar[Job | None] = ContextVar("job", default=None)


def progress(done: int, total: int, what: str) -> None:
    """Say that `done` of `total` pieces are ready; without a visitor who waits, this does nothing.

    Raises:
        Stopped: the visitor has stopped this computation.
    """
    job = _current.get()
    if job is not None:
        job.done, job.total, job.what = done, total, what
        if job.stopped:
            raise Stopped


def publish(interim: Any) -> None:
    """Hand over a result as far as it is known, for the stage to show while the work goes on; nobody may change it afterwards.

    Raises:
        Stopped: the visitor has stopped this computation.
    """
    job = _current.get()
    if job is not None:
        job.interim = interim
        job.edition += 1
        if job.stopped:
            raise Stopped


def counted(items: Iterable[Value], what: str, *, total: int) -> Iterator[Value]:
    """The items, with `progress` before each and after the last."""
    done = 0
    for item in items:
        progress(done, max(total, done + 1), what)
        yield item
        done += 1
    progress(done, done, what)


def run_job(question: str, work: Callable[[], Value], *, draw: Callable[[Any], str] | None = None) -> Value:
    """The result of `work()`, computed in another thread; what it raises is raised here. `draw` makes stage values of what it publishes.

    Raises:
        Stopped: `follow` was told to stop this question; `work` goes on until its next `progress`, and nobody waits for it.
    """
    job = _job(question)
    if job.stopped:
        _forget(question)
        raise Stopped
    job.running, job.draw = True, draw

    def run() -> Value:
        _current.set(job)
        return work()

    future = _pool.submit(copy_context().run, run)
    future.add_done_callback(lambda _: job.changed.set())
    try:
        job.changed.wait()
        if job.stopped and not future.done():
            future.cancel()
            raise Stopped
        return future.result()
    finally:
        _forget(question)


def follow(message: Any) -> dict[str, Any]:
    """`{"question": "7.c0ffee…", "stop": false, "seen": 0}` to how far that question is; with `stop` it ends. Anybody may call it.

    Where an interim result is newer than edition `seen`, the answer carries its picture.

    >>> follow({"question": "nobody asked"})
    {'running': False}
    """
    question, stop = (message.get("question"), message.get("stop")) if isinstance(message, dict) else (None, None)
    if not isinstance(question, str) or not 0 < len(question) <= LONGEST_QUESTION:
        return {"running": False}
    if stop is True:
        job = _job(question)
        job.stopped = True
        job.changed.set()
    with _lock:
        job = _jobs.get(question)
    if job is None or not job.running:
        return {"running": False}
    said: dict[str, Any] = {"running": True, "done": job.done, "total": job.total, "what": job.what}
    edition, interim = job.edition, job.interim
    if job.draw is not None and edition and edition != message.get("seen"):
        said |= {"edition": edition, "view": job.draw(interim)}
    return said


def _job(question: str) -> Job:
    """The question's job, new if there is none; an empty question is nobody's and kept nowhere."""
    with _lock:
        job = _jobs.get(question) or Job()
        if 0 < len(question) <= LONGEST_QUESTION:
            _jobs[question] = job
        for old in [key for key, kept in _jobs.items() if not kept.running][:-REMEMBERED]:
            del _jobs[old]
        return job


def _forget(question: str) -> None:
    with _lock:
        _jobs.pop(question, None)
