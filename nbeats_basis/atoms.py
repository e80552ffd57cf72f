"""Which functions of its stacks a network sees in a window, and of oscillations their amplitude and phase."""

import numpy as np
import pandas as pd
import tensorflow as tf

from nbeats_basis.frames import beside
from nbeats_basis.network import Network

COLUMNS = ("frequency", "decay", "amplitude", "phase")


def atoms(network: Network, inputs) -> dict:
    r"""Return what every function of every stack contributes.

    The cosine and sine of an oscillation make one atom, A e^{-d t} cos(2 pi f t + phi) in data units, t counted from the window's
    last observation. Of any other function the amplitude is its coefficient, and the rest is NaN.

    Args:
        network: the network.
        inputs: as for a call.

    Returns:
        dict of `(B, 1, M, blocks, atoms, 5)` by first member and component: the atom's number in its basis, then f, d, A and phi.
    """
    first, found = 0, {}
    for net in network.networks():
        out = net(inputs)
        for name, stack, theta in zip(net.stack_names, net.stacks, out["coefficients"], strict=True):
            scaled = tf.cast(theta, "float64") * out["scale"][..., None, None]
            blocks = [block.basis for block in stack.blocks] * (stack.num_blocks // len(stack.blocks))
            each = [_of_block(basis, scaled[:, :, i], out["origin"]) for i, basis in enumerate(blocks)]
            found[first, name] = tf.transpose(tf.stack(each, axis=2), (1, 0, 2, 3, 4))[:, None]
        first += net.members
    return found


def _of_block(basis, theta, origin):
    """Return the atoms of one block, `(M, B, atoms, 5)`.

    Args:
        basis: of the block.
        theta: its coefficients, `(M, B, K)` float64.
        origin: absolute time of the window's last observation, `(M or 1, B)`, or None.
    """
    cosines, sines, frequency, decay = basis.oscillations()
    others = np.setdiff1d(np.arange(basis.num_terms), [*cosines, *sines])
    start = tf.cast(basis(tf.zeros((1, 1, 1)), origin)[..., 0, :], "float64")
    now = tf.complex(tf.gather(start, cosines, axis=-1), tf.gather(start, sines, axis=-1))
    size = tf.complex(tf.gather(theta, cosines, axis=-1), -tf.gather(theta, sines, axis=-1)) * now
    plain = tf.gather(theta, others, axis=-1)
    unknown = tf.fill(tf.shape(plain), tf.constant(np.nan, "float64"))

    def rate(values):
        values = tf.cast(values if len(values.shape) == 1 else values[:, None], "float64")
        return tf.broadcast_to(values, tf.shape(tf.abs(size)))

    number = tf.constant([*cosines, *others], "float64")
    columns = [
        tf.broadcast_to(number, tf.concat([tf.shape(plain)[:-1], number.shape], axis=0)),
        *(tf.concat([rate(r), unknown], axis=-1) for r in (frequency, decay)),
        tf.concat([tf.abs(size), plain], axis=-1),
        tf.concat([tf.math.angle(size), unknown], axis=-1),
    ]
    return tf.stack(columns, axis=-1)


def to_frame(found: dict, ids, id_col: str) -> pd.DataFrame:
    """Return a row for each atom whose amplitude is not 0, by series, component, member, block and atom.

    Args:
        found: arrays `(N, M, blocks, atoms, 5)` by first member and component.
        ids: N names of series.
        id_col: name of their column.

    Raises:
        DataError: `id_col` is the name of another column of the answer.
    """
    parts, names = [], np.array([name for _, name in found], object)
    for order, ((first, _), values) in enumerate(found.items()):
        series, member, block, atom = np.nonzero(values[..., 3])
        rows = values[series, member, block, atom]
        keys = [np.full(len(rows), order), first + member, block, rows[:, 0].astype(int)]
        parts.append((np.stack([series, *keys], axis=1), rows[:, 1:]))
    keys, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    place = np.lexsort(keys.T[::-1])
    series, order, member, block, atom = keys[place].T
    columns = {"component": names[order], "member": member, "block": block, "atom": atom}
    columns |= dict(zip(COLUMNS, rows[place].T, strict=True))
    return beside(pd.DataFrame({id_col: np.asarray(ids)[series]}), columns)
