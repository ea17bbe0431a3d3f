"""FlashAttention's figure 2 (left) beside what follows from first principles, and what does not.

Source: Dao et al., "FlashAttention", arXiv:2205.14135, figure 2 (left), in two printed versions; the setting is
GPT-2 medium: N = 1024, d = 64, 16 heads, batch 64, float16, forward and backward.
Notation: GB = 10⁹ bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from core.systems.attention_operand_bytes import ScaleAt, unfused_operand_bytes
from core.systems.attention_schedule import Order
from core.systems.attention_traffic import Direction, hbm_traffic

Verdict: TypeAlias = Literal["reproduced", "within_counts", "not_reproduced"]

N, D, HEADS = 1024, 64, 16 * 64
PREPRINT = "arXiv:2205.14135, figure 2 (left)"
LATER = "the later version of figure 2 (left), whose caption adds a key-padding mask and no dropout"


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """One printed number and its counterpart."""

    key: str  # "standard_hbm_later": name of the label
    printed: float  # quoted
    unit: str  # "GB", "GFLOP", "ms"
    source: str  # where it is printed
    computed: float | None  # what first principles give; None if nothing does
    low: float | None  # smallest of several defensible counts; None if there is one
    high: float | None  # largest of them
    verdict: Verdict  # see `paper_figures`

    @property
    def deviation(self) -> float | None:
        """computed / printed − 1; None without a computed number."""
        return None if self.computed is None else self.computed / self.printed - 1


def paper_figures() -> tuple[PaperFigure, ...]:
    """All numbers of the panel, with what can be derived for each.

    Convention: "reproduced" means that the caption states the setting and our count of it is within 5 %;
    "within_counts" that the setting or the way of counting is not stated and the printed number lies between our
    lowest and highest count; "not_reproduced" that it does not, or that nothing can be computed. The papers do not
    say how the bytes were counted.
    Standard attention is counted operation by operation on real unfused torch (`unfused_operand_bytes`): with a
    key-padding mask and 1/√d on Q; low is without the mask, high with 1/√d on the scores. Algorithms 0 and 3 as
    printed give less than all of these (`standard_traffic`).
    Flash is Algorithm 1 forward and FlashAttention-2's backward without the first load of O and dQ, Bc = 256 (our
    choice, the panel states none); low and high are Bc = 512 and 128.
    GFLOP are the matrix products, six with P kept and seven without, which the printed column cannot be. Times depend
    on the GPU and are quoted only.

    Source: arXiv:2205.14135 figure 2.
    Differs: nothing left out.

    >>> for figure in paper_figures():
    ...     computed = "–" if figure.computed is None else f"{figure.computed:.2f}"
    ...     print(figure.key, figure.printed, computed, figure.verdict)
    standard_hbm_later 35.3 34.63 reproduced
    standard_hbm_preprint 40.3 34.63 within_counts
    flash_hbm 4.4 4.66 within_counts
    standard_gflop 66.6 824.63 not_reproduced
    flash_gflop 75.2 962.07 not_reproduced
    standard_ms_preprint 41.7 – not_reproduced
    flash_ms_preprint 7.3 – not_reproduced
    standard_ms_later 35.1 – not_reproduced
    flash_ms_later 11.7 – not_reproduced
    """
    masked = _standard(key_padding_mask=True, scale_at="queries")
    low, high = (
        _standard(key_padding_mask=False, scale_at="queries"),
        _standard(key_padding_mask=True, scale_at="scores"),
    )
    product = 2 * N * N * D * HEADS / 1e9
    flash = {block_k: _flash(block_k) for block_k in (128, 256, 512)}
    return (
        _figure("standard_hbm_later", 35.3, "GB", LATER, masked, (low, high), stated=True),
        _figure("standard_hbm_preprint", 40.3, "GB", PREPRINT, masked, (low, high)),
        _figure("flash_hbm", 4.4, "GB", PREPRINT, flash[256], (flash[512], flash[128])),
        _figure("standard_gflop", 66.6, "GFLOP", PREPRINT, 6 * product),
        _figure("flash_gflop", 75.2, "GFLOP", PREPRINT, 7 * product),
        _figure("standard_ms_preprint", 41.7, "ms", PREPRINT),
        _figure("flash_ms_preprint", 7.3, "ms", PREPRINT),
        _figure("standard_ms_later", 35.1, "ms", LATER),
        _figure("flash_ms_later", 11.7, "ms", LATER),
    )


def _figure(
    key: str,
    printed: float,
    unit: str,
    source: str,
    computed: float | None = None,
    counts: tuple[float, float] | None = None,
    *,
    stated: bool = False,
) -> PaperFigure:
    verdict: Verdict = "not_reproduced"
    if computed is not None and stated and abs(computed / printed - 1) <= 0.05:
        verdict = "reproduced"
    elif counts is not None and counts[0] <= printed <= counts[1]:
        verdict = "within_counts"
    low, high = counts or (None, None)
    return PaperFigure(key, printed, unit, source, computed, low, high, verdict)


def _standard(*, key_padding_mask: bool, scale_at: ScaleAt) -> float:
    found = unfused_operand_bytes(N, D, heads=HEADS, key_padding_mask=key_padding_mask, scale_at=scale_at)
    return found.total / 1e9


def _flash(block_k: int) -> float:
    """GB of Algorithm 1 and FlashAttention-2's backward; Br does not matter."""

    def one(order: Order, direction: Direction) -> int:
        return hbm_traffic(
            N, D, block_q=D, block_k=block_k, order=order, direction=direction, heads=HEADS, initial="skipped"
        ).total

    return (one("fa1", "forward") + one("fa2", "backward")) / 1e9
