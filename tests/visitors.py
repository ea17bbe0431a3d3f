"""Many visitors at once, over plain HTTP in the protocol of Gradio's page; for the load test and the bench."""

from __future__ import annotations

import asyncio
import json
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from typing import Any

import httpx

from demos.contract import numbers_as_json
from demos.perception.segmentation_metrics import DEMO, Controls

PATIENCE = 20.0  # seconds for everybody together


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What every client asks, in its own way, and what only it may hear."""

    name: str
    ask: Callable[[int, int], list[Any]]  # (client, call) -> the endpoint's arguments
    expect: Callable[[int, int], list[Any]]  # (client, call) -> its answer


def _room(client: int, call: int) -> Controls:
    """Everybody looks at an error of their own."""
    return Controls(grow=client % 6 - 3, shift_x=client, shift_y=call, extra="none")


FIRST_ROOM = Endpoint(
    DEMO.slug,
    lambda client, call: [None if value == () else value for value in astuple(_room(client, call))],
    lambda client, call: [numbers_as_json(DEMO, _room(client, call))],
)


class Client:
    """One visitor's browser: a session, its events and its stream."""

    def __init__(self, http: httpx.AsyncClient, functions: dict[str, int]) -> None:
        self.http, self.functions, self.session = http, functions, uuid.uuid4().hex

    async def events(self, name: str, data: list[Any]) -> AsyncIterator[dict[str, Any]]:
        body = {"data": data, "fn_index": self.functions[name], "session_hash": self.session}
        joined = await self.http.post("gradio_api/queue/join", json=body)
        assert joined.status_code == 200, f"turned away: {joined.status_code} {joined.text}"
        async with self.http.stream("GET", "gradio_api/queue/data", params={"session_hash": self.session}) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    async def call(self, name: str, data: list[Any]) -> list[Any]:
        async for event in self.events(name, data):
            if event["msg"] == "process_completed":
                assert event["success"], event
                return event["output"]["data"]
        raise AssertionError("the stream ended without an answer")


def run(coroutine: Any) -> Any:
    """In a thread of its own: Playwright keeps an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def visit(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=httpx.Limits(max_connections=200))


def functions_of(url: str) -> dict[str, int]:
    return {entry["api_name"]: entry["id"] for entry in httpx.get(f"{url}config").json()["dependencies"]}


def storm(url: str, endpoint: Endpoint, *, clients: int, calls: int) -> list[float]:
    """All clients at once, each making its calls one after another: seconds of every call. Fails on a wrong answer."""
    functions = functions_of(url)
    seconds: list[float] = []

    async def visitor(http: httpx.AsyncClient, number: int) -> None:
        client = Client(http, functions)
        for call in range(calls):
            start = time.perf_counter()
            answer = await client.call(endpoint.name, endpoint.ask(number, call))
            seconds.append(time.perf_counter() - start)
            assert answer == endpoint.expect(number, call), f"visitor {number}, call {call}"

    async def everybody() -> None:
        async with visit(url) as http:
            visitors = [visitor(http, number) for number in range(clients)]
            await asyncio.wait_for(asyncio.gather(*visitors), timeout=PATIENCE)

    run(everybody())
    return seconds


def percentile(values: list[float], share: float) -> float:
    """Nearest-rank percentile.

    >>> percentile([3.0, 1.0, 2.0, 4.0], 0.5)
    2.0
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
