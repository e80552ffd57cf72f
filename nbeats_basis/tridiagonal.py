"""Symmetric tridiagonal systems of many windows at once, equation by equation: the windows lie side by side in memory."""

import tensorflow as tf


def factor(diagonal, beside) -> tuple:
    """Return the factors of A = L D L': the diagonal of D^-1 and what is below the diagonal of L, `(K, M, B)` each.

    Args:
        diagonal: of A, positive definite, `(K, M, B)`.
        beside: element k is A's of rows k and k + 1; the last is 0, `(K, M, B)`.

    Source: Golub & Van Loan 2013, section 4.3.6.
    """

    def step(k, taken):
        inverse = 1 / (diagonal[k] - taken)
        lower = beside[k] * inverse
        return lower * beside[k], (inverse, lower)

    return _each(step, diagonal, 2)


def substitute(inverse, lower, right):
    """Return x = A^-1 b, `(K, M, B)`.

    Args:
        inverse: of `factor`.
        lower: of `factor`.
        right: b, `(K, M, B)`.
    """

    def forward(k, taken):
        value = right[k] - taken
        return lower[k] * value, (value,)

    (values,) = _each(forward, right, 1)
    values *= inverse

    def backward(k, older):
        value = values[k] - lower[k] * older
        return value, (value,)

    return _each(backward, right, 1, reverse=True)[0]


def _each(step, like, outputs: int, reverse: bool = False) -> tuple:
    """Return what `step(k, carry) -> carry, outputs` gives for all k, `(K, M, B)` each.

    Args:
        step: function of the number of the equation and of what the one before handed on, 0 at first.
        like: tensor `(K, M, B)`.
        outputs: number of outputs.
        reverse: True to go from the last equation to the first. Defaults to False.
    """
    size, carry = like.shape[0], tf.zeros_like(like[0])
    order = (size - 1, -1) if reverse else (0, 1)

    def body(i, carry, *rows):
        k = order[0] + order[1] * i
        carry, found = step(k, carry)
        return i + 1, carry, *(row.write(k, each) for row, each in zip(rows, found, strict=True))

    rows = [tf.TensorArray(like.dtype, size, element_shape=like.shape[1:]) for _ in range(outputs)]
    found = tf.while_loop(lambda i, *_: i < size, body, (0, carry, *rows))
    return tuple(row.stack() for row in found[2:])
