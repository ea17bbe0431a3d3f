import pytest

from core.systems.attention_paper_figures import paper_figures

N, D, HEADS = 1024, 64, 1024
SQUARE, ROWS, STATISTIC = (2 * N * N * HEADS, 2 * N * D * HEADS, 4 * N * HEADS)  # bytes of one pass


def flash(block_k):
    """Algorithm 1 and FlashAttention-2's backward, accumulators neither zeroed in memory nor loaded at first."""
    t = N // block_k
    forward = (2 + t + (t - 1) + t) * ROWS + (4 * t - 2) * STATISTIC
    backward = (4 + 2 * t + (t - 1) + t + 2) * ROWS + (2 * t + 1) * STATISTIC
    return (forward + backward) / 1e9


def test_counts_are_those_of_passes_written_down(receipt):
    masks = 2 * N * HEADS
    counted = {
        "standard_hbm_later": (15 * SQUARE + 18 * ROWS + masks) / 1e9,
        "standard_hbm_preprint": (15 * SQUARE + 18 * ROWS + masks) / 1e9,
        "flash_hbm": flash(256),
        "standard_gflop": 6 * 2 * N * N * D * HEADS / 1e9,
        "flash_gflop": 7 * 2 * N * N * D * HEADS / 1e9,
    }
    figures = {figure.key: figure for figure in paper_figures()}
    assert {key for key, figure in figures.items() if figure.computed is not None} == set(counted)
    for key, expected in counted.items():
        for name in ("computed", "counted"):
            receipt(paper_figures, name, figures[key].computed, expected, reference="passes written down")
    low, high = (11 * SQUARE + 18 * ROWS) / 1e9, (19 * SQUARE + 14 * ROWS + masks) / 1e9
    reference = "passes written down"
    for key in ("standard_hbm_later", "standard_hbm_preprint"):
        receipt(paper_figures, "low", figures[key].low, low, reference=reference)
        receipt(paper_figures, "high", figures[key].high, high, reference=reference)
    receipt(paper_figures, "low", figures["flash_hbm"].low, flash(512), reference=reference)
    receipt(paper_figures, "high", figures["flash_hbm"].high, flash(128), reference=reference)


def test_verdicts_follow_from_the_numbers():
    for figure in paper_figures():
        if figure.verdict == "reproduced":
            assert figure.deviation is not None
            assert abs(figure.deviation) <= 0.05
        elif figure.verdict == "within_counts":
            assert figure.low is not None
            assert figure.high is not None
            assert figure.low <= figure.printed <= figure.high
        else:
            assert figure.low is None
            assert figure.computed is None or abs(figure.computed / figure.printed - 1) > 1


def test_printed_numbers_are_the_quoted_ones():
    """Copied a second time, by hand."""
    printed = [figure.printed for figure in paper_figures()]
    assert printed == [35.3, 40.3, 4.4, 66.6, 75.2, 41.7, 7.3, 35.1, 11.7]
    assert {figure.unit for figure in paper_figures()} == {"GB", "GFLOP", "ms"}
    assert all(("arXiv" in figure.source) == ("later" not in figure.key) for figure in paper_figures())


def test_deviation_is_relative():
    first = paper_figures()[0]
    assert first.deviation == pytest.approx(first.computed / 35.3 - 1)
    assert paper_figures()[-1].deviation is None


def test_one_number_is_reproduced_and_two_lie_between_counts():
    verdicts = [figure.verdict for figure in paper_figures()]
    assert verdicts == ["reproduced", "within_counts", "within_counts"] + ["not_reproduced"] * 6
