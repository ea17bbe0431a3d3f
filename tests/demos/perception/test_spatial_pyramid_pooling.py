"""What the tab computes and shows, in Python; the rules that all tabs share are in tests/demos/test_contract.py."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

from core.perception.pooling_bins import RULES
from core.perception.spatial_pyramid_pooling import spatial_pyramid_pool
from demos.contract import attempt
from demos.kit.stage import message_of
from demos.kit.text import LANGUAGES
from demos.kit.upload_errors import UploadError
from demos.perception.spatial_pyramid_pooling import DEMO, Controls, run


def test_the_result_is_cores() -> None:
    result = run(Controls(levels="3,1", rule="paper", width=200, height=150, order="bin_major"))
    wanted = spatial_pyramid_pool(result.inputs.features, (3, 1), rule="paper", order="bin_major")
    assert torch.equal(result.pyramid.vector, wanted.vector)
    assert result.other is None


@pytest.mark.parametrize("size", list(product((96, 180, 224, 340), (100, 480))))
def test_dragging_the_size_never_changes_the_vectors_length(size: tuple[int, int]) -> None:
    result = run(Controls(width=size[0], height=size[1]))
    assert result.pyramid.length == 210
    assert result.inputs.photo is not None
    assert result.inputs.photo.shape[:2] == size[::-1]


def test_on_a_ten_by_ten_map_the_papers_formula_gives_nine_windows() -> None:
    """The failure that its preset is about."""
    result = run(DEMO.presets["wrong"])
    assert result.inputs.size == (10, 10)
    assert result.other is not None
    assert (result.pyramid.length, result.other.length, result.pyramid.expected_length) == (500, 950, 500)
    assert [len(level.boxes) for level in result.other.levels] == [81, 9, 4, 1]


def test_eleven_by_four_gives_five() -> None:
    result = run(Controls(levels="4", rule="paper", width=196, height=196))
    assert result.inputs.size == (11, 11)
    assert [len(level.boxes) for level in result.pyramid.levels] == [25]
    assert result.comparisons[0][0].theorem.windows == 5


def test_the_opening_map_has_the_size_of_the_papers() -> None:
    assert run(Controls()).inputs.size == (13, 13)
    assert all(axis.theorem.agrees for pair in run(Controls()).comparisons for axis in pair)


def test_steps_pool_the_finest_level_first_and_end_in_the_vector() -> None:
    result = run(DEMO.presets["sppnet"])
    assert [step.level for step in result.steps] == [0] * 36 + [1] * 9 + [2] * 4 + [3]
    assert {step.source_level for step in result.steps} == {None, 0, 2}
    bins = [level.values[0, result.channel].flatten() for level in result.pyramid.levels]
    assert result.steps[-1].vector.tolist() == torch.cat(bins).tolist()


def test_a_small_box_becomes_one_cell_and_all_bins_read_it() -> None:
    result = run(DEMO.presets["box"])
    assert result.projection.collapsed
    assert len({step.value for step in result.steps}) == 1


def test_a_box_is_pooled_by_the_chosen_rounding() -> None:
    c = Controls(view="box", box="20,30,150,190")
    paper, code = run(c), run(replace(c, projection="code"))
    assert paper.pyramid.window == paper.projections[0].cells_xyxy
    assert code.pyramid.window == code.projections[1].cells_xyxy
    assert paper.pyramid.length == code.pyramid.length == 210


def test_sppf_is_spp_bit_for_bit_and_flat_pictures_tie() -> None:
    flat, photo = run(DEMO.presets["block"]), run(Controls(view="block"))
    assert flat.blocks.bit_identical
    assert photo.blocks.bit_identical
    assert flat.ties.differing > 0
    assert flat.ties.tied > photo.ties.tied


def test_rates_are_stepped_through_on_the_visitors_map() -> None:
    result = run(DEMO.presets["atrous"])
    assert [c.rate for c in result.coverages] == list(range(1, 49))
    assert (result.coverages[0].height, result.coverages[0].width) == result.inputs.size


def test_the_last_channel_stands_for_those_beyond_it() -> None:
    assert run(Controls(channel=31)).channel == 9


@pytest.mark.parametrize(
    ("controls", "code"),
    [
        (Controls(levels=""), "levels_unreadable"),
        (Controls(levels="0"), "levels_unreadable"),
        (Controls(levels="2.5"), "levels_unreadable"),
        (Controls(levels="-1, 2"), "levels_unreadable"),
        (Controls(levels="</script>"), "levels_unreadable"),
        (Controls(levels="٤"), "levels_unreadable"),
        (Controls(levels="1,2,3,4,5,6,7"), "levels_unreadable"),
        (Controls(levels="9"), "levels_unreadable"),
        (Controls(width=48), "map_too_small"),
        (Controls(width=32, height=32, stride=32), "picture_below_filter"),
        (Controls(source="photo"), "no_photo"),
        (Controls(source="array"), "no_feature_file"),
        (Controls(source="photo", photo=("/nowhere/x.png",)), "missing_file"),
    ],
)
def test_what_cannot_be_pooled_is_one_sentence_in_each_language(controls: Controls, code: str) -> None:
    with pytest.raises(UploadError) as caught:
        run(controls)
    assert caught.value.code == code
    for language in LANGUAGES:
        value = attempt(DEMO, language, vars(controls))[0]
        assert message_of(value) == caught.value.sentence(language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_the_papers_rule_misses_the_length(language: str) -> None:
    (guess,) = DEMO.guesses(DEMO.text(language))
    assert guess.answer == RULES.index("paper")
    assert "950" in guess.reveal[guess.answer]
    assert all("500" in sentence for sentence in guess.reveal)
