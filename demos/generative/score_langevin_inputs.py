"""What the walks run on: the data, the noise levels, where particles begin, and the network trained on the data."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from demos.generative.diffusion_inputs import REACH as SHAPES_REACH
from demos.generative.diffusion_inputs import Source, source_of
from demos.kit.jobs import counted

if TYPE_CHECKING:
    from core.generative.chain_law import Start
    from core.generative.langevin import NoisyScore
    from core.generative.mixtures import GaussianMixture
    from core.generative.score_network import TrainingStep
    from demos.generative.score_langevin import Controls

PLANE = 8.0  # the plane that is drawn is [−PLANE, PLANE]², the square in which the paper's toy begins
PLACES = 41  # a crowd is dropped at one of PLACES × PLACES places of the plane
CROWD = 0.4  # standard deviation of a crowd
HIDDEN = 64  # width of the network's three hidden layers
TRAINED_ON = 4096  # samples
REPORTS = 20  # of a training
REMEMBERED = 6  # trainings


def power(exponent: float) -> float:
    """A slider's exponent of 10 as a number of two digits: 1.3 is 20.

    >>> power(1.3), power(0.0), power(-0.6)
    (20.0, 1.0, 0.25)
    """
    return float(f"{10**exponent:.2g}")


def data_of(c: Controls) -> Source:
    """The data, in the plane of the paper's toy.

    Raises:
        UploadError: as `source_of`.
    """
    from core.generative.mixtures import gaussian_mixture

    if c.source == "toy":
        return Source(gaussian_mixture([0.8, 0.2], [[5.0, 5.0], [-5.0, -5.0]], 1.0))
    found = source_of(c)
    return replace(found, mixture=found.mixture.diffused(PLANE / SHAPES_REACH, 0.0))


def sigmas_of(c: Controls) -> list[float]:
    """σ_1 … σ_L; the first is kept above the last."""
    from core.generative.langevin import geometric_levels

    low = power(c.sigma_min)
    return geometric_levels(max(power(c.sigma_max), 1.1 * low), low, c.levels)


def step_of(c: Controls) -> float:
    return power(c.step_size)


def start_of(c: Controls) -> Start:
    """A square, or a crowd around the chosen place."""
    from core.generative.chain_law import CrowdStart, SquareStart

    if c.begin == "everywhere":
        return SquareStart(PLANE)
    row, column = divmod(c.drop, PLACES)
    return CrowdStart(((column + 0.5) / PLACES * 2 - 1) * PLANE, (1 - (row + 0.5) / PLACES * 2) * PLANE, CROWD)


def only(c: Controls, *names: str) -> Controls:
    """The opening view's controls but for those named: a key under which what depends on nothing else is remembered."""
    from demos.generative.score_langevin import Controls

    known = {item.name for item in fields(Controls)}
    assert known.issuperset(names)
    return Controls(**{name: getattr(c, name) for name in names})


DATA = ("source", "photo", "dark", "modes")
LADDER = ("sigma_max", "sigma_min", "levels")


@dataclass(frozen=True)
class Training:
    """A network while it is trained, or afterwards."""

    steps: tuple[TrainingStep, ...]  # so far
    updates: int  # in all

    @property
    def last(self) -> TrainingStep:
        return self.steps[-1]


_trained: OrderedDict[Any, Training] = OrderedDict()
_lock = Lock()


def remembered(c: Controls) -> Training | None:
    """The finished training behind these controls, if it is still known."""
    with _lock:
        return _trained.get(_key(c))


def training(c: Controls, mixture: GaussianMixture) -> Iterator[Training]:
    """The network's training as far as it is; the last one is complete, and is remembered.

    Raises:
        Stopped: the visitor does not want to wait.
    """
    from core.generative.score_network import score_network, train_score_network

    found = remembered(c)
    if found is not None:
        yield found
        return
    network = score_network(2, hidden=HIDDEN, scale=float(mixture.covariance.trace() / 2) ** 0.5, seed=c.seed)
    every = max(1, c.updates // REPORTS)
    steps: list[TrainingStep] = []
    run = train_score_network(
        network,
        mixture,
        sigmas_of(c),
        updates=c.updates,
        samples=TRAINED_ON,
        report_every=every,
        seed=c.seed,
    )
    for step in counted(run, "training", total=1 + -(-c.updates // every)):
        steps.append(step)
        if step.index < c.updates:
            yield Training(tuple(steps), c.updates)
    done = Training(tuple(steps), c.updates)
    with _lock:
        _trained[_key(c)] = done
        while len(_trained) > REMEMBERED:
            _trained.popitem(last=False)
    yield done


def _key(c: Controls) -> Any:
    return only(c, *DATA, *LADDER, "updates", "seed")


def score_of(c: Controls, mixture: GaussianMixture) -> NoisyScore:
    """The score that drives the annealed walk: exact, or the network's."""
    from core.generative.langevin import smoothed_score

    if c.score == "learned":
        *_, found = training(c, mixture)
        return found.last.network
    return smoothed_score(mixture, toy=c.level_score == "toy")
