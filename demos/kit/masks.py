"""Label masks: pictures whose pixels are class numbers, or colours that stand for them.

Everything read in one call shares one meaning: a colour that is class 3 in the truth is class 3 in the prediction.
That is why files are first *loaded* one by one (`Loaded`: what is stored) and then *resolved* together (what it means).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from demos.kit.mask_files import Loaded, distinct, load_masks, narrowest, tally
from demos.kit.palettes import MAX_GUESSED, Palette, hex_color
from demos.kit.upload_errors import FilePath, Note, UploadError, open_upload


@dataclass(frozen=True, slots=True)
class LabelMask:
    """A mask at the size it was uploaded: never shrunk, never interpolated."""

    labels: np.ndarray  # (H, W) uint8, uint16 or int32, whichever is the narrowest for all masks of the call
    palette: np.ndarray | None  # (K, 3) uint8 colour of class k, where the file or the palette tells
    names: tuple[str, ...] | None  # (K,) names of the classes, from the palette
    notes: tuple[Note, ...]  # what had to be decided


def read_mask(
    path: FilePath,
    *,
    palette: Palette | None = None,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    allow_lossy: bool = False,
) -> LabelMask:
    """One mask; see `read_masks`."""
    return read_masks(
        [path], palette=palette, num_classes=num_classes, ignore_index=ignore_index, allow_lossy=allow_lossy
    )[0]


def read_mask_pair(
    target: FilePath,
    prediction: FilePath,
    *,
    palette: Palette | None = None,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    allow_lossy: bool = False,
) -> tuple[LabelMask, LabelMask]:
    """Truth and prediction, of one size and with one meaning; see `read_masks`."""
    first, second = read_masks(
        [target, prediction],
        palette=palette,
        num_classes=num_classes,
        ignore_index=ignore_index,
        allow_lossy=allow_lossy,
    )
    if first.labels.shape != second.labels.shape:
        (h1, w1), (h2, w2) = first.labels.shape, second.labels.shape
        raise UploadError("sizes_differ", first=f"{w1}×{h1}", second=f"{w2}×{h2}")
    return first, second


def read_masks(
    paths: Sequence[FilePath],
    *,
    palette: Palette | None = None,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    allow_lossy: bool = False,
) -> tuple[LabelMask, ...]:
    """Several masks that are to be compared.

    Class numbers are taken as stored: the indices of an indexed picture (never its colours), the values of a grey one
    or of an integer or boolean (H, W) array in .npy or .npz. Two exceptions, both for all files together:

    * binary: where values are only 0 and 255 (16-bit: 65535), 255 becomes 1 (note binary_mask). Not if `ignore_index`
      is 255, not if `num_classes` is above 2, and not if 255 occurs beside any other label, which makes it a "void".
    * colours: with `palette`, each colour is looked up exactly. Else an indexed file of the same call lends its
      palette. Else, if all colours are greys and opaque, they are values. Else classes are guessed (note
      guessed_classes): black, if it occurs, is 0, the others follow by falling number of pixels in all files together,
      equal counts by colour.

    Fully transparent pixels are class 0, as black is (note alpha_as_background); in a stencil, where black is the
    only colour that is painted, black is class 1. A JPEG or a lossy WebP is refused unless `allow_lossy`: then each
    pixel goes to the nearest class colour (note jpeg_mask_smeared, with the number of pixels that were not exact).

    Args:
        palette: the colours' classes.
        num_classes: labels must lie in 0 … num_classes − 1, `ignore_index` excepted.
        ignore_index: label of the pixels that do not count; it is kept.

    Raises:
        UploadError: jpeg_mask_refused, photo_not_mask, unknown_color, kinds_differ, too_many_colors,
            label_out_of_range, not_labels,
            wrong_shape, several_arrays, and those of `read_image` and `read_array`.
    """
    loaded = load_masks([partial(open_upload, path) for path in paths], palette=palette, allow_lossy=allow_lossy)
    return resolve(loaded, palette=palette, num_classes=num_classes, ignore_index=ignore_index)


def resolve(
    loaded: Sequence[Loaded], *, palette: Palette | None, num_classes: int | None, ignore_index: int | None
) -> tuple[LabelMask, ...]:
    """Class numbers for masks that were read together; the rules are told at `read_masks`."""
    shared: list[Note] = []
    legend = palette
    masks = list(loaded)
    if any(mask.kind == "colors" for mask in masks):
        lender = next((mask for mask in masks if mask.kind == "indexed"), None)
        if palette:
            masks = [_look_up(mask, palette.colors, range(len(palette.colors))) for mask in masks]
        elif lender is not None and lender.table is not None:
            masks = [_look_up(mask, lender.table, _order_of_use(lender)) for mask in masks]
        elif all(_is_grey(mask) for mask in masks):
            masks = [_grey_values(mask) for mask in masks]
        else:
            masks, table = _guess(masks, num_classes)
            legend = Palette(table, None)
            shared.append(Note("guessed_classes", {"count": len(table)}))
    if not legend:
        table = next((mask.table for mask in masks if mask.kind == "indexed"), None)
        legend = Palette(table, None) if table is not None else None
    values = [distinct(mask.stored) for mask in masks]
    if _is_binary(
        [v for v, mask in zip(values, masks, strict=True) if mask.kind == "values"], num_classes, ignore_index
    ):
        masks = [
            replace(mask, stored=(mask.stored != 0).astype(np.uint8)) if mask.kind == "values" else mask
            for mask in masks
        ]
        values = [distinct(mask.stored) for mask in masks]
        shared.append(Note("binary_mask", {}))
    for mask, present in zip(masks, values, strict=True):
        wrong = [v for v in present if num_classes is not None and not 0 <= v < num_classes and v != ignore_index]
        if wrong and num_classes is not None:
            raise UploadError("label_out_of_range", name=mask.name, label=wrong[-1], limit=num_classes - 1)
    dtype = narrowest(min((v[0] for v in values), default=0), max((v[-1] for v in values), default=0))
    colors, names = (legend.colors, legend.names) if legend else (None, None)
    return tuple(
        LabelMask(np.ascontiguousarray(mask.stored, dtype), colors, names, (*mask.notes, *shared)) for mask in masks
    )


def _is_binary(values: Sequence[list[int]], num_classes: int | None, ignore_index: int | None) -> bool:
    """Every mask holds 0 and at most one other value, 1 or full white, and at least one holds full white."""
    on = {v for present in values for v in present if v}
    if ignore_index in (255, 65535) or (num_classes is not None and num_classes > 2) or not on & {255, 65535}:
        return False
    return on <= {1, 255, 65535} and all(len({v for v in present if v}) <= 1 for present in values)


def _look_up(mask: Loaded, table: np.ndarray, order: Sequence[int]) -> Loaded:
    """A colour map as classes: a colour's class is its place in `table`, the first of `order` where it stands twice."""
    if mask.kind != "colors" or mask.table is None:
        return mask
    place = {tuple(table[k]): k for k in reversed(order)}
    used = tally(mask, len(mask.table))
    unknown = [k for k in np.flatnonzero(used) if tuple(mask.table[k]) not in place]
    if unknown:
        k = max(unknown, key=lambda k: (used[k], -k))
        raise UploadError(
            "unknown_color", name=mask.name, color=hex_color(mask.table[k]), count=int(used[k]), others=len(unknown) - 1
        )
    lut = np.array([place.get(tuple(color), 0) for color in mask.table], np.uint8 if len(table) <= 256 else np.uint16)
    labels = lut[mask.stored]
    return replace(
        mask, kind="indexed", table=table, stored=labels if mask.holes is None else np.where(mask.holes, 0, labels)
    )


def _order_of_use(lender: Loaded) -> list[int]:
    """The lender's indices, those it uses first; a colour that it uses for two indices cannot be looked up."""
    assert lender.table is not None
    used = [k for k in distinct(lender.stored) if k < len(lender.table)]
    seen: dict[tuple[int, ...], int] = {}
    for k in used:
        first = seen.setdefault(tuple(lender.table[k]), k)
        if first != k:
            raise UploadError(
                "palette_duplicate", name=lender.name, first=first, second=k, color=hex_color(lender.table[k])
            )
    return [*used, *(k for k in range(len(lender.table)) if k not in set(used))]


def _is_grey(mask: Loaded) -> bool:
    """Whether its colours can be read as numbers; with transparent parts it is a drawing."""
    if mask.kind == "values" or mask.table is None:
        return mask.kind == "values"
    return not mask.lossy and mask.holes is None and not np.ptp(mask.table, axis=1).any()


def _grey_values(mask: Loaded) -> Loaded:
    if mask.kind == "values" or mask.table is None:
        return mask
    return replace(mask, kind="values", stored=mask.table[:, 0][mask.stored], table=None)


def _guess(masks: Sequence[Loaded], num_classes: int | None) -> tuple[list[Loaded], np.ndarray]:
    """Labels for colours without a palette, and the shared table of colours."""
    numbers = next((mask for mask in masks if mask.kind == "values"), None)
    if numbers:
        colored = next(mask for mask in masks if mask.kind == "colors")
        raise UploadError("kinds_differ", colored=colored.name, numbers=numbers.name)
    counts: dict[tuple[int, ...], int] = {}
    for mask in masks:
        assert mask.table is not None
        for color, count in zip(mask.table.tolist(), tally(mask, len(mask.table)), strict=True):
            if count:
                counts[tuple(color)] = counts.get(tuple(color), 0) + int(count)
    black, holes = (0, 0, 0), any(mask.holes is not None for mask in masks)
    order = sorted(counts, key=lambda color: (color != black, -counts[color], color))
    if holes and order == [black]:
        order.insert(0, (255, 255, 255))  # a stencil: what is not painted shows as paper
    elif holes and black not in counts:
        order.insert(0, black)
    if len(order) > MAX_GUESSED:
        raise UploadError("photo_not_mask", name=masks[0].name, count=len(order), limit=MAX_GUESSED)
    if num_classes is not None and len(order) > num_classes:
        raise UploadError("too_many_colors", count=len(order), limit=num_classes)
    table = np.array(order, np.uint8).reshape(-1, 3)
    return [_look_up(mask, table, range(len(table))) for mask in masks], table
