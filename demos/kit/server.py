"""The one way the app is served: by `app.py`, by the tests and by the bench.

Gradio's defaults are for a trusted desk: visitors' runs are recorded, monitoring and a download proxy are open to
anybody, the page goes out uncompressed. `launch` closes what this app does not need and bounds the rest. Importing this
module sets the environment that Gradio reads when a Blocks is made; it imports neither Gradio nor torch itself.
"""

from __future__ import annotations

import argparse
import atexit
import importlib.util
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

if TYPE_CHECKING:
    import gradio as gr

Function = TypeVar("Function", bound=Callable[..., Any])
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

TORCH = "torch"  # concurrency_id of every event that runs a model, with concurrency_limit=1: one at a time in all tabs
CONCURRENCY = 2  # other events at the same time, each event on its own count
QUEUE = 64  # waiting events before a visitor is told to come back: two classes of thirty
DELETE_CACHE = (600, 3600)  # look every ten minutes, delete files that are an hour old (seconds)
SESSIONS = 512  # visitors whose gr.State is kept

# All of /gradio_api/ that the page, gradio_client and MCP use. What is not here does not exist, so a route that a later
# Gradio adds stays shut until somebody has looked at it. Left out on purpose: process_recording (runs ffmpeg), proxy=,
# deep_link (a file per call), run-history, runs, vibe-*, profiling, openapi.json, the old api/ and file/.
API_ROUTES = frozenset(
    {"app_id", "call", "cancel", "component_server", "custom_component", "heartbeat", "info", "login_check", "mcp"}
    | {"queue", "reset", "run", "startup-events", "stream", "theme.css", "upload", "upload_progress", "user"}
)
CLOSED_SEGMENTS = frozenset(("monitoring", "openapi.json", "docs", "redoc", "dev", "login", "logout", "token"))
UNCOMPRESSED = re.compile(r"/(gradio_api|static|assets|svelte)(/|$)")

# Gradio evaluates its templates and loads workers from blobs. Nothing comes from another host, except that on Hugging
# Face Spaces the hub draws a bar of its own into the page.
HUB = "https://huggingface.co https://*.huggingface.co" if "SPACE_ID" in os.environ else ""
PAGE_POLICY = (
    f"default-src 'self' data: blob: {HUB}; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
)
FILE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'"  # a file opened as a page runs nothing
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # the address holds the visitor's state
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve; the defaults are right for one's own computer."""

    host: str = "127.0.0.1"
    port: int | None = None  # None: 7860 or the next free one; 0: any free one
    root_path: str = ""  # path under which a reverse proxy serves the app
    share: bool = False
    mcp: bool = False
    max_upload_mb: int = 20  # MB = 10**6 bytes
    threads: int = 2  # of torch, per model call

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 10**6


def parse_options(argv: Sequence[str] | None = None) -> Options:
    """Options from the command line (default: this process's), SPACE_ID, GRADIO_SERVER_PORT and GRADIO_ROOT_PATH.

    >>> parse_options(["--port", "8000", "--max-upload-mb", "5"]).port
    8000
    """
    on_spaces = "SPACE_ID" in os.environ
    host = "0.0.0.0" if on_spaces else "127.0.0.1"
    port = os.environ.get("GRADIO_SERVER_PORT") or ("7860" if on_spaces else None)
    root = os.environ.get("GRADIO_ROOT_PATH", "")
    parser = argparse.ArgumentParser(
        prog="app.py", description="See how vision and large-model systems really compute."
    )
    add = parser.add_argument
    add("--host", default=host, help="address to listen on (%(default)s)")
    add("--port", type=_port, default=port, help="port (7860 or the next free one); 0 for any free one")
    add("--root-path", default=root, help="path under which a reverse proxy serves the app")
    add("--share", action="store_true", help="also open a temporary public address (through a tunnel of Gradio's)")
    add("--mcp", action="store_true", help="also serve the endpoints as MCP tools (needs the extra 'mcp')")
    add("--max-upload-mb", type=_positive, default=20, help="largest upload in MB (%(default)s)")
    add("--threads", type=_positive, default=2, help="torch threads per model call (%(default)s)")
    return Options(**vars(parser.parse_args(argv)))


@dataclass(frozen=True, slots=True)
class Running:
    """A launched app: its address (with a slash at the end) and how to stop it."""

    url: str
    stop: Callable[[], None]


def launch(
    blocks: gr.Blocks,
    options: Options,
    *,
    head: str = "",
    css: str = "",
    theme: gr.Theme | None = None,
    block: bool = True,
) -> Running:
    """Serve `blocks`; with `block`, print the address and return only when stopped (Ctrl+C, SIGTERM).

    Raises:
        OSError: the chosen port is taken.
    """
    import PIL.Image
    from starlette.middleware import Middleware

    from demos.kit.uploads import MAX_DECODE_PIXELS

    PIL.Image.MAX_IMAGE_PIXELS = MAX_DECODE_PIXELS  # Pillow refuses twice as many, our readers as many
    _limit_threads(options.threads)
    if options.mcp and importlib.util.find_spec("mcp") is None:
        sys.exit("--mcp needs the package mcp: install Glassbox with the extra 'mcp' (README.md, Endpoints).")
    try:
        port = None if options.port is None else _free_port(options.host, options.port)
    except OSError as error:
        if block:  # the command line wants a sentence, not a traceback
            sys.exit(str(error))
        raise
    blocks.delete_cache = blocks.delete_cache or DELETE_CACHE
    blocks.queue(default_concurrency_limit=CONCURRENCY, max_size=QUEUE)
    _, url, _ = blocks.launch(
        server_name=options.host,
        server_port=port,
        root_path=options.root_path,
        share=options.share,
        mcp_server=options.mcp,
        max_file_size=options.max_upload_bytes,
        state_session_capacity=SESSIONS,
        app_kwargs={
            "middleware": [Middleware(Guard, max_body=options.max_upload_bytes + 2**20), Middleware(GzipPages)],
            "openapi_url": None,
        },
        head=head or None,
        css=css or None,
        theme=theme,
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        footer_links=[],
        ssr_mode=False,
        pwa=False,
        inline=False,
        quiet=True,
        prevent_thread_lock=True,
    )
    if blocks.mcp_error:
        print(blocks.mcp_error, file=sys.stderr)
    if hasattr(blocks._queue, "sleep_when_free"):  # private; otherwise an idle server polls 1000 times a second
        blocks._queue.sleep_when_free = 0.01
    stopped = threading.Event()

    def stop() -> None:
        if not stopped.is_set():
            stopped.set()
            blocks.close(verbose=False)

    running = Running(url, stop)
    if block:
        print(f"Glassbox is ready at {url}  (Ctrl+C stops it)", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            while blocks.is_running:
                stopped.wait(1)
        except KeyboardInterrupt:
            print("\nStopped.")
        finally:
            stop()
    return running


def gpu(function: Function, *, seconds: int = 60) -> Function:
    """Run `function`, plain or generator, on Hugging Face's shared GPUs; unchanged without the package `spaces`."""
    try:
        from spaces import GPU  # pyright: ignore[reportMissingImports]
    except ImportError:
        return function
    return GPU(duration=seconds)(function)


def hidden(path: str) -> bool:
    """Whether `path` leads to a shut route, however it is spelled (case, encoding, doubled slashes, root path).

    >>> hidden("/gradio_api/queue/join"), hidden("/zh"), hidden("/gradio_api/file=/folder/a.png")
    (False, False, False)
    >>> hidden("/gradio_api/process_recording"), hidden("//Monitoring/summary"), hidden("/x/gradio_api/file=%68ttp://a")
    (True, True, True)
    """
    for _ in range(3):
        path = unquote(path)
    path = re.sub(r"/+", "/", path.replace("\\", "/")).lower()
    _, api, rest = path.partition("/gradio_api/")
    if api and rest.startswith("file="):  # shut with a scheme (http:, ftp:), which Gradio would fetch
        return re.match(r"/?\s*[a-z][a-z0-9+.-]+:", rest.removeprefix("file=")) is not None
    if api:
        return rest.partition("/")[0] not in API_ROUTES
    return not CLOSED_SEGMENTS.isdisjoint(path.split("/"))


class Guard:
    """ASGI middleware: shut routes answer 404, bodies are bounded, every answer carries the security headers."""

    def __init__(self, app: Application, *, max_body: int) -> None:
        self.app, self.max_body = app, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path: str = scope["path"]
        is_file = "/gradio_api/file=" in path

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in HEADERS}
                headers = [pair for pair in message.get("headers", []) if pair[0].lower() not in ours]
                if is_file:
                    headers.append((b"content-security-policy", FILE_POLICY.encode()))
                elif any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in headers):
                    headers.append((b"content-security-policy", PAGE_POLICY.encode()))
                message["headers"] = [*headers, *HEADERS]
            await send(message)

        if hidden(path):
            return await _answer(send_with_headers, 404, "Not found.")
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self.max_body:
            return await _answer(send_with_headers, 413, f"Larger than the {self.max_body // 10**6} MB taken here.")
        seen = 0

        async def receive_bounded() -> Message:  # a body sent in pieces declares no length
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= self.max_body else {"type": "http.disconnect"}

        await self.app(scope, receive_bounded, send_with_headers)


class GzipPages:
    """ASGI middleware: compress pages and their configuration (440 kB become 20 kB), never the stream of events."""

    def __init__(self, app: Application) -> None:
        from starlette.middleware.gzip import GZipMiddleware

        self.app, self.gzip = app, GZipMiddleware(app, minimum_size=1000, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        compress = scope["type"] == "http" and not UNCOMPRESSED.search(scope["path"])
        await (self.gzip if compress else self.app)(scope, receive, send)


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def _limit_threads(threads: int) -> None:
    """Torch reads OMP_NUM_THREADS when it is imported, which is at the first model call, not now.

    OpenCV's own pool stays off: visitors already share the cores, and a process-wide pool that many threads enter at once
    gains them nothing.
    """
    import cv2

    cv2.setNumThreads(1)
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def _free_port(host: str, port: int) -> int:
    """`port` itself if nobody listens on it, any free one for 0."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise OSError(f"Cannot listen on port {port} of {host}: choose another one with --port.") from error
        return probe.getsockname()[1]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, not {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, not {text!r}")
    return int(text)


def _prepare_environment() -> None:
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # After every event Gradio summarises all past events with pandas, for the monitoring page that is shut here.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    # Uploads lie in a folder of this process, open to its user alone, and go when it ends.
    if "GRADIO_TEMP_DIR" not in os.environ:
        folder, owner = tempfile.mkdtemp(prefix="glassbox-"), os.getpid()
        os.environ["GRADIO_TEMP_DIR"] = folder
        atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)


_prepare_environment()
