"""Where q, k, v come from, and what is refused before it costs anything."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demos.kit.upload_errors import UploadError
from demos.systems.flash_attention import Controls, run
from demos.systems.flash_attention_inputs import MOST_TOKENS, inputs_of

RNG = np.random.default_rng(0)


def saved(folder: Path, name: str = "qkv.npz", **arrays: Any) -> Controls:
    path = folder / name
    np.savez(path, **arrays)
    return Controls(source="arrays", arrays=(str(path),))


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int8])
def test_arrays_are_taken_as_they_are(tmp_path: Path, dtype: Any) -> None:
    q, k, v = (draw(*s).astype(dtype) for s in ((7, 3), (9, 3), (9, 3)))
    found = inputs_of(saved(tmp_path, Q=q, K=k, V=v, other=np.zeros(3)))
    for got, given in zip((found.q, found.k, found.v), (q, k, v), strict=True):
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, given.astype(np.float64))


def test_one_head_is_traced_and_all_are_counted(tmp_path: Path) -> None:
    q, k, v = draw(3, 8, 4), draw(3, 8, 4), draw(3, 8, 4)
    c = saved(tmp_path, q=q, k=k, v=v)
    for head, taken in ((0, 0), (2, 2), (200, 2)):
        found = inputs_of(replace(c, head=head))
        np.testing.assert_array_equal(found.q, q[taken])
        assert found.heads == 3
        assert found.notes[0].code == "attention_head"
    one = run(replace(c, block_q=4, block_k=4))
    alone = run(replace(saved(tmp_path, "one.npz", q=q[0], k=k[0], v=v[0]), block_q=4, block_k=4))
    assert one.total.total == 3 * alone.total.total


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"q": draw(4, 2), "k": draw(4, 2)}, "attention_arrays"),
        ({"x": draw(4, 2)}, "attention_arrays"),
        ({"q": draw(4, 2), "k": draw(4, 3), "v": draw(4, 3)}, "attention_shapes"),
        ({"q": draw(4, 2), "k": draw(5, 2), "v": draw(4, 2)}, "attention_shapes"),
        ({"q": draw(4), "k": draw(4), "v": draw(4)}, "attention_shapes"),
        ({"q": draw(2, 4, 2), "k": draw(3, 4, 2), "v": draw(3, 4, 2)}, "attention_shapes"),
        ({"q": draw(1, 1, 4, 2), "k": draw(1, 1, 4, 2), "v": draw(1, 1, 4, 2)}, "attention_shapes"),
        ({"q": draw(0, 2), "k": draw(0, 2), "v": draw(0, 2)}, "attention_size"),
        ({"q": draw(4, 0), "k": draw(4, 0), "v": draw(4, 0)}, "attention_size"),
        ({"q": draw(MOST_TOKENS + 1, 2), "k": draw(4, 2), "v": draw(4, 2)}, "attention_size"),
        ({"q": draw(4, 129), "k": draw(4, 129), "v": draw(4, 129)}, "attention_size"),
        ({"q": np.full((4, 2), np.nan), "k": draw(4, 2), "v": draw(4, 2)}, "attention_not_finite"),
        ({"q": draw(4, 2), "k": draw(4, 2), "v": np.full((4, 2), np.inf)}, "attention_not_finite"),
        ({"q": draw(4, 2) * 1j, "k": draw(4, 2), "v": draw(4, 2)}, "not_numeric"),
        ({"q": np.array([["a"]]), "k": draw(1, 1), "v": draw(1, 1)}, "not_numeric"),
    ],
)
def test_wrong_arrays_are_one_sentence(tmp_path: Path, arrays: dict, code: str) -> None:
    with pytest.raises(UploadError) as caught:
        inputs_of(saved(tmp_path, **arrays))
    assert caught.value.code == code
    assert str(tmp_path) not in str(caught.value)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (pytest.fail, ("unpickled",))

    path = tmp_path / "trap.npz"
    np.savez(path, q=np.array([Trap()], dtype=object), k=draw(2, 2), v=draw(2, 2))
    with pytest.raises(UploadError) as caught:
        inputs_of(Controls(source="arrays", arrays=(str(path),)))
    assert caught.value.code == "pickled_array"
    path.write_bytes(pickle.dumps({"q": 1}))
    with pytest.raises(UploadError) as caught:
        inputs_of(Controls(source="arrays", arrays=(str(path),), head=1))
    assert caught.value.code == "not_an_array"


def test_a_huge_array_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "huge.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 100000), }".ljust(117) + b"\n"
        archive.writestr("q.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(UploadError) as caught:
        inputs_of(Controls(source="arrays", arrays=(str(path),)))
    assert caught.value.code in ("array_too_large", "truncated")


@pytest.mark.parametrize(
    ("size", "grid"), [((60, 40), (8, 12)), ((400, 20), (1, 12)), ((20, 400), (85, 12)), ((3, 900), (341, 3))]
)
def test_a_picture_becomes_patches_of_its_shape(tmp_path: Path, size: tuple[int, int], grid: tuple[int, int]) -> None:
    path = tmp_path / "p.png"
    Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)).save(path)
    found = inputs_of(Controls(source="photo", photo=(str(path),), patches=12))
    assert found.grid == grid
    assert len(found.q) == grid[0] * grid[1] <= MOST_TOKENS
    assert found.photo is not None


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    path.write_text("no picture")
    with pytest.raises(UploadError) as caught:
        inputs_of(Controls(source="photo", photo=(str(path),)))
    assert caught.value.code == "not_an_image"


def test_bundled_pictures_and_noise() -> None:
    for source in ("coffee", "rocket"):
        found = inputs_of(Controls(source=source, patches=6, channels=16))
        assert found.grid == (4, 6)
        assert found.q.shape == (24, 16)
    assert inputs_of(Controls(tokens=5, keys=9, channels=3)).k.shape == (9, 3)
