from core.perception.simcc_published import published_ap


def test_printed_numbers_are_the_quoted_ones():
    """Copied a second time, by hand."""
    lines = published_ap()
    assert [line.heatmap for line in lines] == [25.8, 55.4, 68.5]
    assert [line.shifted for line in lines] == [34.4, 60.3, 70.4]
    assert [line.simcc for line in lines] == [40.8, 62.6, 71.4]
    assert [line.input_size for line in lines] == [(64, 64), (128, 128), (192, 256)]
    assert all(line.heatmap < line.shifted < line.simcc for line in lines)
