"""Decaying oscillations with learned decays and frequencies."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis
from nbeats_basis.bases.poles import fit_poles
from nbeats_basis.checks import check_int


@keras.saving.register_keras_serializable(package="nbeats_basis")
class DampedSinusoid(Basis):
    r"""Oscillations that decay from the start of the span on: the solutions of linear differential equations.

    For each atom, with s = t - a and a the start of the span: e^(-d s) cos(2 pi f s), and after all of these the sines.
    From a on, the future included, they are exact, so that a damped oscillation is extrapolated as one. Before a, where
    they would grow without bound, the envelope is held at 1 and the oscillation goes on; so no value exceeds 1, at any time.

    Args:
        num_atoms: number of oscillations, at least 1.
        frequencies: f of each, cycles per unit of time, at least 0; None for 1, 2, ... cycles in the span. Defaults to None.
        decays: d of each, per unit of time, at least 0; None for 0. Defaults to None.
        span: (a, b), a < b, in units of time: a is where the atoms start, b - a the unit of what is learned.
            Defaults to (-1.0, 1.0).
        learnable: True to learn decays and frequencies, one set a member. Defaults to True.

    Raises:
        ValueError: numbers of frequencies or decays differ from `num_atoms`, or are negative; or an empty span.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.bases.DampedSinusoid(1, frequencies=[0.25], decays=[0.0], span=(0, 4))([0.0, 1.0]).numpy().round(3) + 0.0
        array([[1., 0.], [0., 1.]], dtype=float32)

    Source: Golub & Pereyra 2003 (exponential fitting by variable projection), for `from_data`.
    """

    def __init__(
        self,
        num_atoms: int,
        frequencies: Sequence[float] | None = None,
        decays: Sequence[float] | None = None,
        span: Sequence[float] = (-1.0, 1.0),
        learnable: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_atoms = check_int("num_atoms", num_atoms)
        self.span = tuple(float(s) for s in span)
        if len(self.span) != 2 or not -np.inf < self.span[0] < self.span[1] < np.inf:
            raise ValueError(
                f"`span` must be two finite times, the first the earlier. Received: span={span!r}"
            )
        self.length = self.span[1] - self.span[0]
        default = np.arange(1, num_atoms + 1) / self.length
        self.frequencies = _rates("frequencies", default if frequencies is None else frequencies, num_atoms)
        self.decays = _rates("decays", np.zeros(num_atoms) if decays is None else decays, num_atoms)
        self.learnable = bool(learnable)

    @classmethod
    def from_data(
        cls,
        series: Sequence[tuple],
        num_atoms: int,
        span: Sequence[float],
        background: Basis | None = None,
        learnable: bool = True,
    ) -> "DampedSinusoid":
        """Return the atoms that fit series at irregular times best, found one by one in their common spectrum.

        Args:
            series: pairs of times `(N,)`, on the axis of `span`, and values `(N,)`, NaN where not observed; all share
                decays and frequencies, each has amplitudes of its own.
            num_atoms: number of oscillations.
            span: (a, b), as for the basis.
            background: functions fitted beside the atoms, such as a trend; None for a constant. Defaults to None.
            learnable: as for the basis. Defaults to True.
        """
        frequencies, decays = fit_poles(series, num_atoms, span[0], background)
        return cls(num_atoms, frequencies, decays, span, learnable)

    @property
    def num_terms(self) -> int:
        """Two for each atom."""
        return 2 * self.num_atoms

    def build(self, times_shape, origin_shape=None):
        """Create cycles and decays per span, all members' the same."""
        if self.learnable:
            start = self.length * np.array([self.frequencies, self.decays])
            self.rates = self.member_weight("rates", (2, self.num_atoms), lambda rng, shape: start)

    def evaluate(self, times, order: int):
        """Evaluate in closed form: each derivative multiplies by the pole -d + 2 pi i f."""
        frequency, decay = self._poles(times.dtype)
        since = (times - self.span[0])[..., None]
        decay = decay * ops.cast(since >= 0, times.dtype)
        envelope = ops.exp(-decay * since)
        turns = frequency * since
        angle = 2 * np.pi * (turns - ops.round(turns))
        real, imaginary = envelope * ops.cos(angle), envelope * ops.sin(angle)
        for _ in range(order):
            speed = 2 * np.pi * frequency
            real, imaginary = -decay * real - speed * imaginary, speed * real - decay * imaginary
        return ops.concatenate([real, imaginary], axis=-1)

    def oscillations(self) -> tuple:
        """Return all atoms."""
        rates = [r if len(r.shape) == 1 else r[:, 0, 0] for r in self._poles("float32")]
        return np.arange(self.num_atoms), self.num_atoms + np.arange(self.num_atoms), *rates

    def _poles(self, dtype):
        """Return frequencies and decays, `(atoms,)` or `(M, 1, 1, atoms)`."""
        if not self.learnable:
            return ops.cast(np.asarray(self.frequencies), dtype), ops.cast(np.asarray(self.decays), dtype)
        rates = ops.cast(self.rates, dtype) / self.length
        rates = rates if self.seeds is None else rates[:, :, None, None, :]
        frequency, decay = ops.unstack(rates, axis=-2 if self.seeds is None else 1)
        # never below 0, where it would grow; the gradient passes, so that a decay of 0 is not stuck there
        return ops.abs(frequency), decay + ops.stop_gradient(ops.relu(decay) - decay)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "num_atoms": self.num_atoms,
            "frequencies": list(self.frequencies),
            "decays": list(self.decays),
            "span": list(self.span),
            "learnable": self.learnable,
        }


def _rates(name: str, values: Sequence[float], count: int) -> tuple[float, ...]:
    values = np.asarray(values, "float64")
    if values.shape != (count,) or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            f"`{name}` must be {count} finite numbers of at least 0. Received: {name}={values.tolist()}"
        )
    return tuple(values.tolist())
