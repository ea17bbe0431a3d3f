"""Random numbers that belong to a particle: adding or removing its neighbours never changes them.

Notation: seed is the experiment's, stream tells apart its uses (a step, labels, a probe), row i of every array belongs
to particle i.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Stream = int | Sequence[int]


def particle_normals(
    seed: int,
    stream: Stream,
    shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Standard normal numbers whose row i depends on seed, stream and i only.

    Convention: one generator per (seed, stream), read row by row; the first rows of a long batch are a short batch. A bare
    `torch.randn` has no such promise (it fills short and long tensors by different methods), and a generator shared by
    all steps hands particle i other numbers as soon as the batch grows. Double precision is NumPy's; single precision, for
    pictures, has numbers of its own: PyTorch's, which are made faster, in whole blocks of 16.

    Args:
        seed: any integer from 0.
        stream: integers from 0 that name the use.
        shape: (N, …); the first axis counts particles.

    Raises:
        ValueError: if seed, stream or a length is negative.

    Source: NumPy's SeedSequence; no paper speaks of it. score_sde and k-diffusion draw one tensor per step for the batch.
    Differs: drawn on the host, then moved.

    >>> few, many = particle_normals(7, 0, (2, 3)), particle_normals(7, 0, (50, 3))
    >>> print(torch.equal(few, many[:2]), round(float(many[0, 0]), 4))
    True 0.0012
    """
    if dtype == torch.float32:
        sequence = np.random.SeedSequence(_streams(seed, stream, shape))
        generator = torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        length = math.prod(shape)
        block = torch.randn(-(-length // 16) * 16, generator=generator)
        return block[:length].reshape(tuple(shape)).to(device)
    rng = np.random.default_rng(_streams(seed, stream, shape))
    return torch.as_tensor(rng.standard_normal(tuple(shape)), dtype=dtype, device=device)


def particle_uniforms(
    seed: int,
    stream: Stream,
    shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Numbers uniform in [0, 1) whose row i depends on seed, stream and i only.

    Args, Raises, Source, Differs: as `particle_normals`.

    >>> torch.equal(particle_uniforms(1, (2, 3), (4,)), particle_uniforms(1, (2, 3), (9,))[:4])
    True
    """
    rng = np.random.default_rng(_streams(seed, stream, shape))
    return torch.as_tensor(rng.random(tuple(shape)), dtype=dtype, device=device)


def particle_signs(
    seed: int,
    stream: Stream,
    shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Rademacher numbers, −1 or 1 with equal chance, whose row i depends on seed, stream and i only.

    Args, Raises, Source, Differs: as `particle_normals`.

    >>> sorted(set(particle_signs(1, 0, (100, 2)).flatten().tolist()))
    [-1.0, 1.0]
    """
    return torch.where(particle_uniforms(seed, stream, shape, device=device) < 0.5, -1.0, 1.0).to(dtype)


def _streams(seed: int, stream: Stream, shape: Sequence[int]) -> tuple[int, ...]:
    """What a generator is seeded with."""
    streams = (stream,) if isinstance(stream, int) else tuple(stream)
    if seed < 0 or any(s < 0 for s in streams):
        raise ValueError(f"seed and stream must be integers from 0, got {seed} and {streams}")
    if any(n < 0 for n in shape):
        raise ValueError(f"shape must hold no negative length, got {tuple(shape)}")
    return (seed, *streams)
