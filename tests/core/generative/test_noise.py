import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.generative.noise import particle_normals, particle_signs, particle_uniforms

DRAWS = (particle_normals, particle_uniforms, particle_signs)
quick = settings(deadline=None, max_examples=25)


@quick
@given(seed=st.integers(0, 2**40), stream=st.tuples(st.integers(0, 9), st.integers(0, 9)), n=st.integers(1, 40))
def test_a_row_does_not_know_how_many_follow(seed, stream, n):
    for draw in DRAWS:
        for dtype in (torch.float64, torch.float32):
            few, many = (draw(seed, stream, (rows, 3), dtype=dtype) for rows in (n, n + 37))
            assert few.dtype == dtype
            assert torch.equal(few, many[:n])


@pytest.mark.parametrize("draw", DRAWS)
def test_seed_and_stream_matter_and_nothing_else(draw):
    a = draw(1, (2, 3), (50,))
    assert torch.equal(a, draw(1, (2, 3), (50,)))
    for other in (draw(2, (2, 3), (50,)), draw(1, (3, 3), (50,)), draw(1, (2, 4), (50,)), draw(1, 2, (50,))):
        assert not torch.equal(a, other)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    draw(5, 0, (3,))
    particle_normals(5, 0, (3,), dtype=torch.float32)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_they_are_numpys_own_numbers(receipt):
    expected = np.random.default_rng((4, 1, 2)).standard_normal((5, 3))
    receipt(particle_normals, "normals", particle_normals(4, (1, 2), (5, 3)), expected, reference="numpy")
    receipt(
        particle_uniforms,
        "uniforms",
        particle_uniforms(4, 7, (5,)),
        np.random.default_rng((4, 7)).random(5),
        reference="numpy",
    )


def test_they_have_their_distributions():
    assert stats.kstest(particle_normals(0, 0, (20000,)).numpy(), "norm").pvalue > 0.01
    assert stats.kstest(particle_uniforms(0, 0, (20000,)).numpy(), "uniform").pvalue > 0.01
    single = particle_normals(0, 0, (20001, 2), dtype=torch.float32)
    assert stats.kstest(single.flatten().numpy(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(single.numpy().T)[0, 1]) < 0.03
    assert not torch.equal(single, particle_normals(0, 1, (20001, 2), dtype=torch.float32))
    signs = particle_signs(0, 0, (20000,))
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 0.03


def test_type_shape_and_place():
    for draw in DRAWS:
        found = draw(0, 0, (2, 0, 3), dtype=torch.float32)
        assert found.dtype == torch.float32
        assert found.shape == (2, 0, 3)
        assert draw(0, 0, ()).shape == ()


@pytest.mark.parametrize(
    ("seed", "stream", "shape"), [(-1, 0, (2,)), (0, (1, -1), (2,)), (0, -3, (2,)), (0, 0, (2, -1))]
)
def test_negative_numbers_are_refused(seed, stream, shape):
    for draw in DRAWS:
        with pytest.raises(ValueError, match=r"^(seed and stream must be integers from 0|shape must hold no negative)"):
            draw(seed, stream, shape)
