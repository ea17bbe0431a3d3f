"""Predict first: the questions, answered by what `core` computes."""

from __future__ import annotations

from functools import cache

import numpy as np

from core.perception.joint_readings import DECODERS, PoseCodec, decoder_errors, joint_readings
from core.perception.quantization_error import error_trail
from demos.kit.scene import Guess
from demos.kit.text import Text

OFFSET = (22.0, -14.0)  # of the second mode, px
PLACES = ("truth", "second", "between", "corner")
EFFECTS = ("halves", "nothing", "worse")


@cache
def ghost() -> int:
    """Which of PLACES is nearest to SimCC's answer when two places are believed equally."""
    seen = joint_readings([[80.25, 120.25]], PoseCodec(), offset=OFFSET, share=0.5)
    truth, other = seen.truth[0], seen.second[0]
    places = [truth, other, (truth + other) / 2, np.array([truth[0], other[1]])]
    return int(np.argmin([np.abs(seen.found[DECODERS.index("simcc"), 0] - place).max() for place in places]))


@cache
def shift_effect() -> tuple[int, float, float]:
    """Which of EFFECTS the quarter shift has on rounded labels; the mean error with it and without."""
    seen = decoder_errors(PoseCodec(), count=1000)
    plain, shifted = (
        float(error_trail(seen.found[DECODERS.index(name)], seen.truth).mean_distance[-1])
        for name in ("argmax", "shift")
    )
    return (1 if abs(shifted - plain) < 0.05 * plain else 0 if shifted < plain else 2), plain, shifted


def guesses_of(text: Text) -> tuple[Guess, ...]:
    effect, plain, shifted = shift_effect()
    mean = {"plain": f"{plain:.2f}", "shifted": f"{shifted:.2f}"}
    return (
        Guess(
            text("guess", "ghost", "question"),
            tuple(text("guess", "ghost", "options", place) for place in PLACES),
            ghost(),
            tuple(text("guess", "ghost", "reveal", place) for place in PLACES),
            "ghost",
        ),
        Guess(
            text("guess", "shift", "question"),
            tuple(text("guess", "shift", "options", name) for name in EFFECTS),
            effect,
            tuple(text("guess", "shift", "reveal", name, **mean) for name in EFFECTS),
            "start",
        ),
    )
