"""spp_map_figures: shades, names and cells that all views of the topic share."""

from __future__ import annotations

import numpy as np
import pytest

from demos.kit.text import LANGUAGES
from demos.kit.theme import magnitude_colors
from demos.perception.spatial_pyramid_pooling import DEMO, Controls
from demos.perception.spp_inputs import inputs_of, pixels_of
from demos.perception.spp_map_figures import channel_name, heat_layer, level_color, photo_layer, shades

TEXT = DEMO.text("en")


def test_shades_run_from_the_smallest_to_the_largest() -> None:
    assert shades(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 127, 255]
    assert shades(np.full(3, 7.0)).tolist() == [0, 0, 0]
    assert shades(np.array([np.nan, 1.0, 2.0, np.inf])).tolist() == [0, 0, 255, 255]
    assert shades(np.array([0.5]), low=0.0, high=1.0).tolist() == [127]
    assert shades(np.array([np.nan])).tolist() == [0]


def test_the_finest_level_has_the_first_colour_in_any_order() -> None:
    assert level_color((1, 2, 4), 2) == level_color((4, 2, 1), 0)
    assert len({level_color((1, 2, 4), i) for i in range(3)}) == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_channels_have_names(language: str) -> None:
    inputs, text = inputs_of(Controls()), DEMO.text(language)
    names = [channel_name(inputs, k, text) for k in range(inputs.channels)]
    assert len(set(names)) == inputs.channels
    assert "45°" in names[3]


def test_heat_says_every_cell_and_lies_where_the_cells_look() -> None:
    inputs = inputs_of(Controls())
    values = inputs.features[0, 0].numpy()
    heat = heat_layer(values, inputs, "map", "Map", TEXT)
    assert heat.codes.ravel().tolist() == list(range(169))
    assert heat.extent == pixels_of(inputs, (0, 0, 13, 13)) == (4.5, 4.5, 212.5, 212.5)
    (view,) = heat.views
    brightest = int(values.argmax())
    assert view.colors[brightest, :3].tolist() == magnitude_colors()[255].tolist()
    assert heat.hover[0].names[brightest].startswith(f"column {brightest % 13}, row {brightest // 13}: ")


def test_an_array_has_no_picture(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 5, 5)))
    assert photo_layer(inputs_of(Controls(source="array", feature_file=(str(tmp_path / "x.npy"),))), TEXT) == ()
    assert len(photo_layer(inputs_of(Controls()), TEXT)) == 1
