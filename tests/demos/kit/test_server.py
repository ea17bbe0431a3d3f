"""The server as a stranger on the network meets it: a small app, served by the real `launch`, asked over plain HTTP."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr
import httpx
import PIL.Image
import pytest

from demos.kit import server
from demos.kit.server import Guard, Options, hidden, launch, parse_options
from demos.kit.uploads import MAX_DECODE_PIXELS

REPOSITORY = Path(__file__).resolve().parents[3]


def small_app() -> gr.Blocks:
    with gr.Blocks(title="small") as blocks:
        text, out = gr.Textbox(), gr.Textbox()
        file = gr.File()

        def fail(text: str) -> str:
            raise RuntimeError(f"secret path /srv/{text}")

        text.submit(lambda text: text.upper(), text, out, api_name="upper")
        text.change(fail, text, out, api_name="fail")
        file.upload(lambda path: Path(path).read_text(), file, out, api_name="read")
    with blocks.route("中文", "zh"):
        gr.Markdown("你好" * 1000)
    return blocks


@pytest.fixture(scope="module")
def blocks() -> Iterator[gr.Blocks]:
    blocks = small_app()
    running = launch(blocks, Options(port=0, max_upload_mb=1), head="<meta name=probe>", css=".probe{}", block=False)
    yield blocks
    running.stop()


@pytest.fixture(scope="module")
def client(blocks: gr.Blocks) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=str(blocks.local_url), timeout=20) as client:
        yield client


def raw(client: httpx.Client, target: str) -> httpx.Response:
    """GET with the target sent as it is: neither dots nor doubled slashes nor percent signs are tidied up."""
    url = client.base_url.copy_with(raw_path=target.encode())
    return client.send(httpx.Request("GET", url))


def call(client: httpx.Client, name: str, *data: Any) -> httpx.Response:
    event = client.post(f"/gradio_api/call/{name}", json={"data": list(data)}).json()["event_id"]
    return client.get(f"/gradio_api/call/{name}/{event}")


def upload(client: httpx.Client, name: str, content: bytes) -> str:
    response = client.post("/gradio_api/upload", files={"files": (name, content)})
    assert response.status_code == 200, response.text
    return response.json()[0]


# launch


def test_configuration_of_the_launch(blocks: gr.Blocks, client: httpx.Client) -> None:
    config = client.get("/config").json()
    assert config["run_history"] is False
    assert config["footer_links"] == []
    assert config["show_error"] is False
    assert config["analytics_enabled"] is False
    assert config["max_file_size"] == 10**6
    assert not config.get("is_space")
    assert not config.get("mcp_server")
    assert blocks.delete_cache == server.DELETE_CACHE
    assert blocks._queue.max_size == server.QUEUE
    assert blocks._queue.default_concurrency_limit == server.CONCURRENCY
    assert blocks._queue.sleep_when_free == 0.01
    assert blocks._queue.ANALYTICS_MAX_EVENTS == 1
    assert blocks._queue.cached_event_analytics_summary == {"functions": {}}
    assert PIL.Image.MAX_IMAGE_PIXELS == MAX_DECODE_PIXELS


def test_page_carries_head_and_css(client: httpx.Client) -> None:
    page = client.get("/").text
    assert "probe" in client.get("/config").json()["head"]
    assert "probe" in page


def test_an_endpoint_answers(client: httpx.Client) -> None:
    assert 'data: ["GLASS"]' in call(client, "upper", "glass").text


def test_an_exception_tells_the_visitor_nothing(client: httpx.Client) -> None:
    answer = call(client, "fail", "x").text
    assert "event: error" in answer
    assert "secret" not in answer


def test_a_taken_port_is_one_sentence(blocks: gr.Blocks) -> None:
    with gr.Blocks() as other, pytest.raises(OSError, match="choose another one with --port"):
        launch(other, Options(port=blocks.server_port), block=False)


def test_the_command_line_gets_a_sentence(blocks: gr.Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    with gr.Blocks() as other, pytest.raises(SystemExit, match="choose another one with --port"):
        launch(other, Options(port=blocks.server_port), block=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with gr.Blocks() as other, pytest.raises(SystemExit, match="the extra 'mcp'"):
        launch(other, Options(port=0, mcp=True), block=True)


def test_stop_frees_the_port_and_can_be_repeated() -> None:
    with gr.Blocks() as short:
        gr.Markdown("short")
    running = launch(short, Options(port=0), block=False)
    assert httpx.get(running.url).status_code == 200
    running.stop()
    running.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(running.url)


def test_the_app_starts_without_torch_and_leaves_nothing_behind(tmp_path: Path) -> None:
    program = (
        "import sys, app\n"
        "from demos.kit.server import Options, launch\n"
        "running = launch(app.build_app(), Options(port=0), block=False)\n"
        "print(sorted({'torch', 'sklearn', 'transformers', 'matplotlib'} & set(sys.modules)))\n"
        "running.stop()\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADIO_")}
    environment["TMPDIR"] = str(tmp_path)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    assert list(tmp_path.glob("glassbox-*")) == [], "the folder of uploads outlives its process"


def test_uploads_lie_in_a_folder_of_this_process_alone(client: httpx.Client) -> None:
    path = Path(upload(client, "a.txt", b"mine"))
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    assert path.is_relative_to(folder)
    assert folder.stat().st_mode & 0o077 == 0


# what is shut

SHUT = [
    "/gradio_api/process_recording",
    "/gradio_api/Process_Recording",
    "/gradio_api/process%5frecording",
    "/gradio_api//process_recording",
    "//gradio_api/process_recording",
    "/gradio_api/file=http://example.org/x.png",
    "/gradio_api/file=HTTPS://example.org/x.png",
    "/gradio_api/file=%68ttp%3A%2F%2Fexample.org/x.png",
    "/gradio_api/file=%2568ttp://example.org/x.png",
    "/gradio_api/file=/http://example.org/x.png",
    "/gradio_api/file=ftp://example.org/x.png",
    "/gradio_api/file/http://example.org/x.png",
    "/gradio_api/proxy=http://127.0.0.1/",
    "/gradio_api/proxy=https://a.hf.space/",
    "/gradio_api/deep_link?session_hash=x",
    "/gradio_api/run-history/buckets",
    "/gradio_api/runs",
    "/gradio_api/vibe-code",
    "/gradio_api/vibe-starter-queries/",
    "/gradio_api/profiling/traces",
    "/gradio_api/openapi.json",
    "/gradio_api/api/upper",
    "/openapi.json",
    "//openapi.json",
    "/docs",
    "/redoc",
    "/monitoring",
    "/monitoring/summary",
    "/Monitoring/Summary",
    "/%6donitoring/summary",
    "//monitoring//summary",
    "/zh/monitoring",
    "/some/prefix/monitoring/summary",
    "/some/prefix/gradio_api/process_recording",
    "/dev/reload",
]


@pytest.mark.parametrize("target", SHUT)
def test_shut_routes_are_not_found(client: httpx.Client, target: str) -> None:
    assert raw(client, target).status_code == 404


@pytest.mark.parametrize(
    "target", ["/gradio_api/process_recording", "/gradio_api/vibe-edit/", "/gradio_api/run-history/connect"]
)
def test_shut_routes_take_no_posts(client: httpx.Client, target: str) -> None:
    assert client.post(target, files={"file": ("a.webm", b"x")}).status_code == 404


def test_the_monitoring_key_opens_nothing(blocks: gr.Blocks, client: httpx.Client) -> None:
    assert blocks.enable_monitoring is False
    assert raw(client, f"/monitoring/{blocks.app.analytics_key}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/zh",
        "/config",
        "/zh/",
        "/gradio_api/info",
        "/gradio_api/queue/data",
        "/gradio_api/call/upper",
        "/theme.css",
    ],
)
def test_what_the_page_needs_is_open(path: str) -> None:
    assert not hidden(path)
    assert not hidden(f"/behind/a/proxy{path}")


def test_shut_routes_stay_shut_below_a_root_path() -> None:
    with gr.Blocks() as other:
        gr.Markdown("x")
    running = launch(other, Options(port=0, root_path="/box"), block=False)
    try:
        with httpx.Client(base_url=running.url, timeout=20) as client:
            assert client.get("/config").status_code == 200
            assert client.get("/").status_code == 200
            assert client.get("/box/config").status_code == 200
            for target in SHUT:
                assert raw(client, f"/box{target}").status_code == 404, target
    finally:
        running.stop()


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "etc/passwd",
        "../../../../../../etc/passwd",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "app.py",
        "demos/kit/server.py",
        str(Path(server.__file__)),
        "assets/SOURCES.md",
        "pyproject.toml",
        ".git/config",
        "file:///etc/passwd",
        "/proc/self/environ",
        "~/.bashrc",
    ],
)
def test_no_file_but_a_visitors_is_served(client: httpx.Client, path: str) -> None:
    response = raw(client, f"/gradio_api/file={path}")
    assert response.status_code in (403, 404)
    assert "root:" not in response.text


@pytest.mark.parametrize("folder", ["static", "assets", "svelte"])
def test_gradios_own_folders_are_not_left(client: httpx.Client, folder: str) -> None:
    for escape in ("../" * 12, "..%2f" * 12, "%2e%2e/" * 12):
        response = raw(client, f"/{folder}/{escape}etc/passwd")
        assert response.status_code in (403, 404)
        assert "root:" not in response.text


def test_a_forged_file_is_not_read(client: httpx.Client) -> None:
    forged = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    answer = call(client, "read", forged).text
    assert "event: error" in answer
    assert "root:" not in answer


# uploads

SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.mark.parametrize(
    "name", ["a.svg", "a.html", "a.xhtml", "a.xml", "a.js", "a.htm", "a.SVG", "a", "a.pdf", "a.mhtml"]
)
@pytest.mark.parametrize("header", [{}, {"Range": "bytes=0-100"}], ids=["whole", "range"])
def test_an_active_upload_is_a_download_without_rights(client: httpx.Client, name: str, header: dict[str, str]) -> None:
    response = client.get(f"/gradio_api/file={upload(client, name, SCRIPT)}", headers=header)
    assert response.status_code in (200, 206)
    assert response.headers["content-disposition"].startswith("attachment")
    assert response.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


def test_an_image_is_shown_without_rights(client: httpx.Client) -> None:
    response = client.get(f"/gradio_api/file={upload(client, 'a.png', SCRIPT)}")
    assert response.headers["content-type"] == "image/png"
    assert "sandbox" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_files_name_cannot_leave_the_folder(client: httpx.Client) -> None:
    path = Path(upload(client, "../../../escape.txt", b"x"))
    assert path.resolve().is_relative_to(Path(os.environ["GRADIO_TEMP_DIR"]).resolve())


def test_uploads_are_limited(client: httpx.Client) -> None:
    assert client.post("/gradio_api/upload", files={"files": ("a.png", bytes(900_000))}).status_code == 200
    assert client.post("/gradio_api/upload", files={"files": ("a.png", bytes(1_100_000))}).status_code == 413
    assert client.post("/gradio_api/upload", files={"files": ("a.png", bytes(5_000_000))}).status_code == 413
    assert client.post("/gradio_api/call/upper", content=b"[" * 3_000_000).status_code == 413


def test_a_body_of_undeclared_length_is_cut_off() -> None:
    taken: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            taken.append(len(message["body"]))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": bytes(400), "more_body": True}

    async def send(message: Any) -> None: ...

    asyncio.run(Guard(app, max_body=1000)({"type": "http", "path": "/", "headers": []}, receive, send))
    assert taken == [400, 400]


# headers and compression


@pytest.mark.parametrize(
    "target", ["/", "/zh", "/config", "/monitoring", "/gradio_api/info", "/gradio_api/file=/etc/passwd"]
)
def test_security_headers_are_everywhere(client: httpx.Client, target: str) -> None:
    headers = client.get(target).headers
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers["referrer-policy"] == "same-origin"
    assert "geolocation=()" in headers["permissions-policy"]


@pytest.mark.parametrize("target", ["/", "/zh"])
def test_pages_may_be_framed_by_spaces_alone_and_load_from_nowhere_else(client: httpx.Client, target: str) -> None:
    headers = client.get(target).headers
    parts = [part.split(maxsplit=1) for part in headers["content-security-policy"].split(";")]
    policy = {name: rest for name, rest in parts}
    assert policy["frame-ancestors"] == "'self' https://huggingface.co https://*.hf.space"
    assert policy["default-src"].split() == ["'self'", "data:", "blob:"]
    assert "x-frame-options" not in headers


@pytest.mark.parametrize("target", ["/", "/zh", "/config"])
def test_pages_are_compressed(client: httpx.Client, target: str) -> None:
    assert client.get(target).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get(target, headers={"accept-encoding": "identity"}).headers


def test_the_stream_of_events_is_not_compressed(client: httpx.Client) -> None:
    response = call(client, "upper", "x" * 5000)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in response.headers


def test_other_origins_may_not_read_answers(client: httpx.Client) -> None:
    response = client.get("/config", headers={"origin": "https://elsewhere.example"})
    assert response.headers.get("access-control-allow-origin") is None


# options and the GPU shim


def test_options_of_ones_own_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPACE_ID", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert parse_options([]) == Options() == Options(host="127.0.0.1", port=None, max_upload_mb=20, threads=2)
    given = parse_options(["--port", "8001", "--share", "--mcp", "--threads", "1"])
    assert given == Options(port=8001, share=True, mcp=True, threads=1)
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8002")
    assert parse_options([]).port == 8002
    assert parse_options(["--port", "8003"]).port == 8003


def test_options_on_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "someone/glassbox")
    monkeypatch.delenv("GRADIO_SERVER_PORT", raising=False)
    assert (parse_options([]).host, parse_options([]).port) == ("0.0.0.0", 7860)


@pytest.mark.parametrize(
    "argv", [["--port", "seven"], ["--port", "70000"], ["--threads", "0"], ["--max-upload-mb", "-1"], ["--what"]]
)
def test_wrong_options_are_refused_in_a_sentence(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(argv)
    assert "error:" in capsys.readouterr().err


def test_without_spaces_the_shim_is_effect_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spaces", None)

    def generator() -> Iterator[int]:
        yield 1

    assert server.gpu(generator) is generator
    assert server.gpu(len) is len


def test_with_spaces_the_shim_asks_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, int]] = []
    module = ModuleType("spaces")
    module.GPU = lambda duration: lambda function: asked.append((function, duration)) or function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spaces", module)
    assert server.gpu(len, seconds=90) is len
    assert asked == [(len, 90)]
