"""One query's way through the tiles: what it has seen at each of its steps.

Source: own; m, l and P as in Dao, "FlashAttention-2", arXiv:2307.08691, Algorithm 1.
Notation: as in `flash_attention`; m̃ is the query's largest score in one tile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.systems.flash_attention import AttentionTileStep


@dataclass(frozen=True, slots=True)
class QueryStep:
    """What one tile does to one query."""

    step: int  # number of the step
    previous_max: float  # m before
    tile_max: float  # m̃, the query's largest score in this tile
    row_max: float  # m after
    rescale: float  # e^{m_old − m_new}
    previous_sum: float  # l before
    tile_sum: float  # what this tile adds to l, relative to the new m
    row_sum: float  # l after
    weights: Tensor  # (N_k,) attention over the keys seen so far, sums to 1; 0 for keys not seen yet

    @property
    def max_changed(self) -> bool:
        """This tile holds a new largest score."""
        return self.row_max != self.previous_max


def query_steps(steps: Iterable[AttentionTileStep], query: int, *, n_k: int) -> tuple[QueryStep, ...]:
    """Follow one query through the tiles: only the steps that visit it.

    Convention: weights are e^{S − m} / l with the algorithm's own m and l, so a rule that breaks them shows.

    Args:
        steps: of `attention_tiles`, one head (no head axis), in their order.
        query: its position.
        n_k: keys.

    Raises:
        ValueError: if the steps have a head axis or the query is negative.

    Source: own.
    Differs: nothing left out.

    >>> from core.systems.flash_attention import attention_tiles
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> seen = query_steps(attention_tiles(x, x, x, block_q=2, block_k=1), 1, n_k=2)
    >>> [(step.step, step.max_changed, [round(w, 4) for w in step.weights.tolist()]) for step in seen]
    [(0, True, [1.0, 0.0]), (1, True, [0.0558, 0.9442])]
    """
    if query < 0:
        raise ValueError(f"query must not be negative, got {query}")
    found: list[QueryStep] = []
    seen: Tensor | None = None
    total = 0.0
    for step in steps:
        if step.row_max.ndim != 1:
            raise ValueError(f"steps must be of one head, got m of shape {tuple(step.row_max.shape)}")
        rows, cols = step.tile.rows, step.tile.cols
        if query not in rows:
            continue
        r = query - rows.start
        seen = step.scores.new_full((n_k,), -torch.inf) if seen is None else seen.clone()
        seen[cols.start : cols.stop] = step.scores[r]
        m, l = step.row_max[r], step.row_sum[r]
        finite = torch.where(m == -torch.inf, torch.zeros_like(m), m)
        weights = torch.exp(seen - finite) / torch.where(l == 0, torch.ones_like(l), l)
        rescale = float(step.rescale[r])
        added = float(torch.exp(step.scores[r] - finite).sum())
        found.append(
            QueryStep(
                step.tile.index,
                float(step.previous_max[r]),
                float(step.tile_max[r]),
                float(m),
                rescale,
                total,
                added,
                float(l),
                weights,
            )
        )
        total = float(l)
    return tuple(found)
