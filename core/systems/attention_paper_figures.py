"""FlashAttention's figure 2 (left) beside what follows from first principles, and what does not.

Source: Dao et al., "FlashAttention", arXiv:2205.14135, figure 2 (left), in two printed versions; the setting is
GPT-2 medium: N = 1024, d = 64, 16 heads, batch 64, float16, forward and backward.
Notation: GB = 10⁹ bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["reproduced", "order_of_magnitude", "not_reproduced"]

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
    verdict: (
        Verdict  # "reproduced" within 5 %; "order_of_magnitude" if the setting is not stated; else "not_reproduced"
    )

    @property
    def deviation(self) -> float | None:
        """computed / printed − 1; None without a computed number."""
        return None if self.computed is None else self.computed / self.printed - 1


def paper_figures() -> tuple[PaperFigure, ...]:
    """All numbers of the panel, with what can be derived for each.

    Convention: standard attention with a key-padding mask is counted operation by operation on real unfused torch
    (`unfused_operand_bytes`); the algorithms as printed give less. Flash is Algorithm 1 forward and FlashAttention-2's
    backward with Bc = 256 (the panel does not state Bc; our choice) without the first load of O and dQ; low and high
    are the same for Bc = 512 and 128. The GFLOP column follows from no count of matrix products. Times depend on a
    GPU and are quoted only.

    Source: arXiv:2205.14135 figure 2.
    Differs: nothing left out.

    >>> for figure in paper_figures():
    ...     computed = "–" if figure.computed is None else f"{figure.computed:.2f}"
    ...     print(figure.key, figure.printed, computed, figure.verdict)
    standard_hbm_later 35.3 34.76 reproduced
    standard_hbm_preprint 40.3 34.76 not_reproduced
    flash_hbm 4.4 4.66 order_of_magnitude
    standard_gflop 66.6 824.63 not_reproduced
    flash_gflop 75.2 962.07 not_reproduced
    standard_ms_preprint 41.7 – not_reproduced
    flash_ms_preprint 7.3 – not_reproduced
    standard_ms_later 35.1 – not_reproduced
    flash_ms_later 11.7 – not_reproduced
    """
    raise NotImplementedError
