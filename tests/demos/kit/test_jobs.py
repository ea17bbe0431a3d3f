"""Long work says how far it is, and stops for the one who asked for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from demos.kit import jobs
from demos.kit.jobs import REMEMBERED, Stopped, counted, follow, progress, publish, run_job

WAIT = 10


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def said(question: str) -> dict[str, object]:
    return follow({"question": question})


def test_the_result_and_the_error_are_those_of_the_work() -> None:
    assert run_job("1.a", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        run_job("2.a", lambda: 1 // 0)
    assert said("1.a") == said("2.a") == {"running": False}


def test_work_sees_the_context_of_the_event() -> None:
    who: ContextVar[str] = ContextVar("who", default="nobody")
    who.set("a visitor")
    assert run_job("3.a", who.get) == "a visitor"


def test_progress_without_a_visitor_does_nothing() -> None:
    progress(1, 2, "reading")
    assert list(counted("abc", "reading", total=3)) == ["a", "b", "c"]


def test_progress_is_told_while_the_work_runs_and_forgotten_after_it() -> None:
    go = threading.Event()

    def work() -> int:
        progress(3, 8, "scoring")
        assert go.wait(WAIT)
        return 1

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run_job, "4.a", work)
        until(lambda: said("4.a").get("done") == 3)
        assert said("4.a") == {"running": True, "done": 3, "total": 8, "what": "scoring"}
        assert said("4.b") == {"running": False}, "another page's secret"
        go.set()
        assert future.result(WAIT) == 1
    assert said("4.a") == {"running": False}


def test_a_stop_frees_the_visitor_at_once_and_the_work_at_its_next_piece() -> None:
    seen: list[int] = []
    reached, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        try:
            for piece in counted(range(100), "reading", total=100):
                seen.append(piece)
                if piece == 2:
                    reached.set()
                    assert go.wait(WAIT)
        finally:
            ended.set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run_job, "5.a", work)
        assert reached.wait(WAIT)
        follow({"question": "5.b", "stop": True})
        assert not future.done(), "somebody else's stop"
        start = time.monotonic()
        follow({"question": "5.a", "stop": True})
        with pytest.raises(Stopped):
            future.result(WAIT)
        assert time.monotonic() - start < 0.5
        assert not ended.is_set(), "the work was still in its long piece"
        go.set()
        assert ended.wait(WAIT)
    assert seen == [0, 1, 2]


def test_no_error_handler_on_the_way_swallows_a_stop() -> None:
    reached = threading.Event()
    swallowed: list[Exception] = []

    def work() -> None:
        while True:
            try:
                progress(0, 0, "reading")
                reached.set()
            except Exception as error:
                swallowed.append(error)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run_job, "6.a", work)
        assert reached.wait(WAIT)
        follow({"question": "6.a", "stop": True})
        with pytest.raises(Stopped):
            future.result(WAIT)
    assert not swallowed


def test_a_question_that_was_stopped_before_it_began_is_not_computed() -> None:
    follow({"question": "7.a", "stop": True})
    with pytest.raises(Stopped):
        run_job("7.a", lambda: pytest.fail("computed"))
    assert run_job("7.a", lambda: 1) == 1, "forgotten with its answer"


def test_pieces_are_counted() -> None:
    told: list[dict[str, object]] = []

    def work() -> None:
        for _ in counted("ab", "reading", total=2):
            told.append(said("8.a"))
        told.append(said("8.a"))

    run_job("8.a", work)
    assert [(t["done"], t["total"]) for t in told] == [(0, 2), (1, 2), (2, 2)]


def test_more_pieces_than_announced_never_pass_the_end() -> None:
    told: list[dict[str, object]] = []

    def work() -> None:
        for _ in counted("abc", "reading", total=1):
            told.append(said("9.a"))

    run_job("9.a", work)
    assert all(int(str(t["done"])) <= int(str(t["total"])) for t in told)


def test_an_interim_result_is_drawn_once_for_each_look() -> None:
    go, published = threading.Event(), threading.Event()

    def work() -> str:
        publish("half")
        published.set()
        assert go.wait(WAIT)
        return "whole"

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run_job, "10.a", work, draw=lambda interim: f"picture of {interim}")
        assert published.wait(WAIT)
        first = follow({"question": "10.a", "seen": 0})
        assert (first["edition"], first["view"]) == (1, "picture of half")
        assert "view" not in follow({"question": "10.a", "seen": 1})
        assert follow({"question": "10.a", "seen": "rubbish"})["view"] == "picture of half"
        go.set()
        assert future.result(WAIT) == "whole"


def test_publishing_without_a_visitor_does_nothing_and_ends_a_stopped_work() -> None:
    publish("nobody looks")
    reached = threading.Event()

    def work() -> None:
        while True:
            publish("more")
            reached.set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run_job, "11.a", work, draw=str)
        assert reached.wait(WAIT)
        follow({"question": "11.a", "stop": True})
        with pytest.raises(Stopped):
            future.result(WAIT)


@pytest.mark.parametrize(
    "message", [None, [], "stop", {}, {"question": 3}, {"question": ""}, {"question": "x" * 65, "stop": True}]
)
def test_anybody_may_send_anything(message: object) -> None:
    before = len(jobs._jobs)
    assert follow(message) == {"running": False}
    assert len(jobs._jobs) == before


def test_what_was_stopped_and_never_came_is_bounded() -> None:
    for number in range(REMEMBERED + 50):
        follow({"question": f"{number}.flood", "stop": True})
    assert len(jobs._jobs) <= REMEMBERED + 1


def test_an_empty_question_is_nobodys() -> None:
    assert run_job("", lambda: 5) == 5
    assert "" not in jobs._jobs
