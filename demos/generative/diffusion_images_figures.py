"""Pictures on their way into noise and back. Every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from demos.contract import View as DemoView
from demos.generative.diffusion_hub import HubSamples
from demos.generative.diffusion_images import DIGITS, SAMPLES, SIDE, loss_numbers
from demos.kit.numbers import format_value
from demos.kit.scene import Axes, Pane, Paths, Picture, Scene, Table
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, ROLES
from demos.kit.upload_errors import error_sentence

if TYPE_CHECKING:
    from demos.generative.diffusion_images import ImageResult

FRAMES = 9  # of the filmstrip


def show_images(result: ImageResult | HubSamples, text: Text) -> DemoView:
    c = result.controls
    modes = {"lens": c.lens, "album": c.album, "source": "none", "error": "hidden"}
    if isinstance(result, HubSamples):
        return DemoView(_published(result, text), modes)
    scene = _noising(result, text) if result.strip else _memory(result, text) if result.curve else _digits(result, text)
    return DemoView(scene, modes)


def png(rgb: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def small_jpeg(rgb: np.ndarray) -> bytes:
    """A frame among many: noise hardly compresses without loss."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, 86, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def as_rgb(rows: Any, scale: float = 1.0) -> np.ndarray:
    """(N, D) pictures around [−1, 1], shrunk by `scale`, to (N, side, side, 3) uint8."""
    x = rows.double().numpy() * scale
    x = np.clip((x + 1) * 127.5, 0, 255).round().astype(np.uint8)
    if x.shape[1] == 64:
        return np.repeat(x.reshape(-1, 8, 8, 1), 3, axis=3)
    return x.reshape(-1, SIDE, SIDE, 3)


def tiles(pictures: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Pictures side by side on grey."""
    n, h, w, _ = pictures.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), 128, np.uint8)
    for k, picture in enumerate(pictures):
        i, j = divmod(k, columns)
        sheet[i * (h + gap) : i * (h + gap) + h, j * (w + gap) : j * (w + gap) + w] = picture
    return sheet


def _pane(key: str, title: str, frames: tuple[bytes, ...], size: tuple[int, int], **more: Any) -> Pane:
    height, width = size
    return Pane(key, title, (Picture(key, "", frames),), width, height, place="wide", **more)


def _curve(
    key: str, title: str, lines: list[tuple[str, np.ndarray, str, bool]], text: Text, steps: int, **more: Any
) -> Pane:
    at = np.arange(steps, dtype=np.float32)
    layers = tuple(
        Paths(
            f"{key}_{k}",
            "",
            np.stack([at[: len(y)], y], -1)[None].astype(np.float32),
            (name,) if name else (),
            (color,),
            dashed=dashed,
        )
        for k, (name, y, color, dashed) in enumerate(lines)
    )
    top = max(float(np.nanmax(y)) for _, y, _, _ in lines) * 1.08
    axes = Axes((0.0, float(steps - 1)), (0.0, top), text("axes", "step"), text("axes", "entropy"), at)
    return Pane(key, title, layers, axes=axes, **more)


# -- a network from the hub samples --------------------------------------------------------------------------------------


def _published(result: HubSamples, text: Text) -> Scene:
    side = round((result.states[0].shape[1] / 3) ** 0.5)
    sheets: list[bytes] = []
    for x in result.states:
        rgb = x.view(-1, 3, side, side).permute(0, 2, 3, 1).double().numpy()
        sheets.append(small_jpeg(tiles(np.clip((rgb + 1) * 127.5, 0, 255).round().astype(np.uint8), len(rgb))))
    size = (side, len(result.states[0]) * (side + 1) - 1)
    pane = _pane(
        "published", text("panes", "published"), tuple(sheets), size, pixel=4.0, note=text("images", "published")
    )
    captions = tuple(text("images", "hub", t=format_value(t)) for t in result.times)
    names = tuple(f"t = {t:.3f}" for t in result.times)
    return Scene((pane,), len(captions), captions, names, len(captions) - 1, lead="wide")


# -- a picture into noise ------------------------------------------------------------------------------------------------


def _noising(result: ImageResult, text: Text) -> Scene:
    strip = result.strip
    assert strip is not None
    assert strip.posterior is not None
    steps = len(strip.times)
    scales = [1 / max(1.0, float(np.hypot(a, s))) for a, s in zip(strip.alphas, strip.sigmas, strict=True)]
    frames = np.concatenate([as_rgb(strip.frames[k : k + 1], scales[k]) for k in range(steps)])
    guesses = as_rgb(strip.posterior.denoised)
    size = (SIDE, SIDE)
    shown = np.linspace(0, steps - 1, FRAMES).round().astype(int)
    entropy = strip.posterior.entropy.numpy()
    most = np.full(steps, float(np.log(len(result.data))))
    row: dict[str, Any] = {"row": "images", "pixel": 7.0}
    panes = (
        _pane("noised", text("panes", "noised"), tuple(small_jpeg(f) for f in frames), size, **row),
        _pane("guess", text("panes", "guess"), tuple(small_jpeg(g) for g in guesses), size, **row),
        _curve(
            "undecided",
            text("panes", "undecided"),
            [
                (text("curves", "entropy"), entropy, CATEGORIES[4], False),
                (text("curves", "most"), most, ROLES["neutral"], True),
            ],
            text,
            steps,
            place="wide",
            row="images",
        ),
        _pane(
            "strip",
            text("panes", "strip"),
            (png(tiles(frames[shown], FRAMES)),),
            (SIDE, FRAMES * (SIDE + 1) - 1),
            pixel=3.0,
        ),
        _album(result, text),
    )
    captions = tuple(
        text(
            "images",
            "noising",
            entropy=format_value(float(entropy[k])),
            count=str(len(result.data)),
            top=format_value(float(strip.posterior.top_weight[k])),
        )
        for k in range(steps)
    )
    return _scene(result, text, panes, captions, tuple(f"t = {t:.3f}" for t in strip.times), round(0.3 * steps))


def _album(result: ImageResult, text: Text) -> Pane:
    """All pictures that the optimal denoiser knows."""
    sheet = tiles(as_rgb(result.data), 13)
    picture = Picture("album", "", (small_jpeg(sheet),))
    return Pane(
        "album",
        text("panes", "album", n=str(len(result.data))),
        (picture,),
        sheet.shape[1],
        sheet.shape[0],
        pixel=1.6,
        note=text("images", "album"),
    )


def _scene(
    result: ImageResult,
    text: Text,
    panes: tuple[Pane, ...],
    captions: tuple[str, ...],
    names: tuple[str, ...],
    step: int,
) -> Scene:
    notes = tuple(error_sentence(n.code, n.fields, text.language) for n in result.notes)
    return Scene(panes, len(captions), captions, names, step, notes=notes, lead="wide")


# -- the optimal denoiser samples ------------------------------------------------------------------------------------------


def _memory(result: ImageResult, text: Text) -> Scene:
    curve = result.curve
    assert curve is not None
    here = min(result.controls.sample, SAMPLES) - 1
    steps = len(result.steps)
    size = (SIDE, SAMPLES * (SIDE + 1) - 1)

    def sheets(rows: list[Any]) -> tuple[bytes, ...]:
        return tuple(small_jpeg(tiles(as_rgb(x, s), SAMPLES)) for x, s in rows)

    states = sheets([(step.x, 1 / max(1.0, step.sigma)) for step in result.steps])
    guesses = sheets([(step.posterior.denoised, 1.0) for step in result.steps])
    ends = (small_jpeg(tiles(as_rgb(result.data[curve.picture]), SAMPLES)),)
    lines = [("", curve.entropy[:, k].numpy(), ROLES["neutral"], True) for k in range(SAMPLES) if k != here]
    lines.append((text("sample", k=str(here + 1)), curve.entropy[:, here].numpy(), CATEGORIES[5], False))
    panes = (
        _pane("states", text("panes", "states"), states, size, pixel=2.4),
        _pane("guesses", text("panes", "guesses"), guesses, size, pixel=2.4),
        _pane("ends", text("panes", "ends"), ends, size, pixel=2.4, note=text("images", "honest")),
        _curve("undecided", text("panes", "undecided"), lines, text, steps),
        _album(result, text),
    )
    captions = tuple(
        text(
            "images",
            "memory",
            sigma=format_value(step.sigma),
            k=str(here + 1),
            top=format_value(float(step.posterior.top_weight[here])),
        )
        for step in result.steps
    )
    names = tuple(f"σ = {step.sigma:.3g}" for step in result.steps)
    return _scene(result, text, panes, captions, names, 6)


# -- the network samples ----------------------------------------------------------------------------------------------------


def _digits(result: ImageResult, text: Text) -> Scene:
    states, found, report = result.states, result.novelty, result.report
    assert states is not None
    assert found is not None
    assert report is not None
    columns = DIGITS // 3
    sheets = tuple(png(tiles(as_rgb(states[k], 1 / max(1.0, sigma)), columns)) for k, sigma in enumerate(result.levels))
    nearest = (png(tiles(as_rgb(result.data[found.nearest]), columns)),)
    size = (3 * 9 - 1, columns * 9 - 1)
    row: dict[str, Any] = {"row": "digits", "pixel": 6.0}
    rows = tuple((f"σ = {s:g}", *loss_numbers(report, k)) for k, s in enumerate(report.sigmas))
    head = tuple(text("losses", key) for key in ("sigma", "train", "optimum", "excess", "test", "memoriser"))
    table = Table("losses", text("losses", "title"), head, rows)
    panes = (
        _pane("digits", text("panes", "digits"), sheets, size, **row),
        _pane("nearest", text("panes", "nearest"), nearest, size, **row),
        Pane("losses", text("losses", "title"), (table,), note=text("losses", "note")),
    )
    captions = tuple(text("images", "digits", sigma=format_value(sigma)) for sigma in result.levels)
    names = tuple(f"σ = {sigma:.3g}" for sigma in result.levels)
    return _scene(result, text, panes, captions, names, len(captions) - 1)
