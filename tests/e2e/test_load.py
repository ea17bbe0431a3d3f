"""A class of thirty at once, in the protocol of Gradio's page: nobody is turned away or gets another's numbers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import gradio as gr
import httpx
import numpy as np
import pytest

from demos.kit.server import Options, launch
from tests.visitors import FIRST_ROOM, Client, Endpoint, functions_of, percentile, run, storm, visit

CLIENTS = 30
CALLS = 3  # of each client, one after another, in one session


def endpoints_under_test() -> list[Endpoint]:
    return [
        Endpoint(
            "largest_eigenvalue", lambda client, call: [client + call / 10], lambda client, call: [client + call / 10]
        ),
        Endpoint(
            "sum_so_far",
            lambda client, call: [1000 * client + call, None],
            lambda client, call: [sum(1000 * client + earlier for earlier in range(call + 1)), None],
        ),
    ]


class Counter:
    """How many copies of the slow stream run."""

    def __init__(self) -> None:
        self.running, self.lock = 0, threading.Lock()

    def add(self, change: int) -> None:
        with self.lock:
            self.running += change


def test_thirty_people_in_the_first_room(app_url: str, record_property: Callable[[str, object], None]) -> None:
    seconds = storm(app_url, FIRST_ROOM, clients=CLIENTS, calls=2)
    assert len(seconds) == CLIENTS * 2
    record_property("p95_seconds", percentile(seconds, 0.95))


@pytest.fixture(scope="module")
def counter() -> Counter:
    return Counter()


@pytest.fixture(scope="module")
def load_url(counter: Counter) -> Iterator[str]:
    def largest_eigenvalue(number: float) -> float:
        """Some ms of numpy; the answer is `number` again, to ten digits."""
        matrix = np.random.default_rng(0).normal(size=(60, 60))
        basis = np.linalg.qr(matrix)[0]
        return round(float(np.linalg.eigvals(basis @ np.diag(np.full(60, number)) @ basis.T).real.max()), 10)

    def sum_so_far(number: float, before: float | None) -> tuple[float, float]:
        total = number + (before or 0)
        time.sleep(0.005)
        return total, total

    def stream() -> Iterator[int]:
        counter.add(1)
        try:
            for count in range(600):
                time.sleep(0.05)
                yield count
        finally:
            counter.add(-1)

    with gr.Blocks(analytics_enabled=False) as blocks:
        number, answer, total, state, button = gr.Number(), gr.Number(), gr.Number(), gr.State(), gr.Button()
        number.submit(largest_eigenvalue, number, answer, api_name="largest_eigenvalue")
        number.change(sum_so_far, [number, state], [total, state], api_name="sum_so_far")
        button.click(stream, None, answer, api_name="stream", concurrency_limit=1)
    running = launch(blocks, Options(port=0), block=False)
    yield running.url
    running.stop()


@pytest.mark.parametrize("endpoint", endpoints_under_test(), ids=lambda endpoint: endpoint.name)
def test_thirty_at_once(load_url: str, endpoint: Endpoint, record_property: Callable[[str, object], None]) -> None:
    seconds = storm(load_url, endpoint, clients=CLIENTS, calls=CALLS)
    assert len(seconds) == CLIENTS * CALLS
    record_property("p95_seconds", percentile(seconds, 0.95))


def test_who_leaves_in_mid_stream_frees_the_place(load_url: str, counter: Counter) -> None:
    functions = functions_of(load_url)

    async def first_number(http: httpx.AsyncClient) -> float:
        async for event in Client(http, functions).events("stream", []):
            if event["msg"] == "process_generating":
                return time.perf_counter()
        raise AssertionError("the stream ended before its first number")

    async def two_visitors() -> float:
        async with visit(load_url) as leaving:
            await first_number(leaving)
            assert counter.running == 1
        left = time.perf_counter()  # the stream has 600 numbers, 30 s: only the first visitor's going makes room
        async with visit(load_url) as staying:
            return await asyncio.wait_for(first_number(staying), timeout=10) - left

    assert run(two_visitors()) < 5
    for _ in range(100):
        if counter.running == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"{counter.running} streams run on without a visitor")
