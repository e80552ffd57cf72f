"""Slow NumPy oracles, written from the papers; the package never imports them."""

import numpy as np


def dense_relu(x, kernel, bias):
    """Return ReLU(x W + b) for one window."""
    return np.maximum(x @ kernel + bias, 0)


def layers_of(network):
    """Return kernel and bias of each layer of a `MemberNetwork`, the linear one last."""
    weights = network.get_weights()
    return list(zip(weights[::2], weights[1::2], strict=True))


def nbeats(window, stacks, horizon):
    """Forecast one window by classical N-BEATS in raw units.

    Args:
        window: list of L values, NaN where missing.
        stacks: list of (kind, num_blocks, layers, proposal, degree): kind "trend", "seasonality" or "generic"; layers a
            list of (kernel, bias); proposal (kernel, bias), backcast coefficients first; the blocks share the weights.
        horizon: H.

    Source: Oreshkin et al. 2020, sections 3.1 to 3.3; the level is the last observed value.
    """
    lookback = len(window)
    mask = np.array([0.0 if np.isnan(v) else 1.0 for v in window])
    residual = np.array([0.0 if np.isnan(v) else v for v in window])
    level = [v for v in window if not np.isnan(v)][-1]
    forecast = np.full(horizon, level)
    parts = []
    for kind, num_blocks, layers, proposal, degree in stacks:
        part = np.zeros(horizon)
        for _ in range(num_blocks):
            hidden = residual
            for kernel, bias in layers:
                hidden = dense_relu(hidden, kernel, bias)
            theta = hidden @ proposal[0] + proposal[1]
            back, fore = np.zeros(lookback), np.zeros(horizon)
            for h in range(horizon):
                t = h / horizon
                if kind == "trend":
                    row = [t**k for k in range(degree + 1)]
                elif kind == "seasonality":
                    ks = [k for k in range(1, horizon) if k < horizon / 2]
                    row = [
                        1.0,
                        *[np.cos(2 * np.pi * k * t) for k in ks],
                        *[np.sin(2 * np.pi * k * t) for k in ks],
                    ]
                else:
                    row = [1.0 if j == h else 0.0 for j in range(horizon)]
                fore[h] = np.dot(row, theta[-len(row) :])
            for j in range(lookback):  # j steps before the origin
                if kind == "trend":
                    row = [(j / lookback) ** k for k in range(degree + 1)]
                elif kind == "seasonality":
                    ks = [k for k in range(1, horizon) if k < horizon / 2]
                    t = -j / horizon
                    row = [
                        1.0,
                        *[np.cos(2 * np.pi * k * t) for k in ks],
                        *[np.sin(2 * np.pi * k * t) for k in ks],
                    ]
                else:
                    row = [1.0 if i == lookback - 1 - j else 0.0 for i in range(lookback)]
                back[lookback - 1 - j] = np.dot(row, theta[: len(row)])
            residual = (residual - back) * mask
            part += fore
        parts.append(part)
        forecast = forecast + part
    return forecast, parts


def ridge(design, values, observed, precision, prior):
    """Return argmin of sum over observed t (y_t - x_t theta)^2 + sum_k precision_k (theta_k - prior_k)^2."""
    rows = np.flatnonzero(observed)
    stacked = np.vstack([design[rows], np.diag(np.sqrt(precision))])
    right = np.concatenate([np.asarray(values)[rows], np.sqrt(precision) * prior])
    return np.linalg.lstsq(stacked, right, rcond=None)[0]


def smoothed(times, values, half_lives, lead, prior, share, precision):
    """Return the constant at t = 0, the slope and the root mean squared error of smoothing one window, observation by observation.

    Args:
        times: list of increasing times, 0 at the origin.
        values: list of as many values.
        half_lives: list of half-lives.
        lead: lead time of the errors, 0 for the next observation.
        prior: list of the rates' prior weights.
        share: of the drift, where the window does not say.
        precision: of that share, in errors' variances.

    Source: the docstring of `nbeats_basis.smoothing.smooth`.
    """
    found = []
    for half_life in half_lives:

        def level(count, half_life=half_life):
            weights = [2 ** ((t - times[count - 1]) / half_life) for t in times[:count]]
            return [np.average(x[:count], weights=weights) for x in (values, times)]

        errors, moves = [], []
        for i in range(3, len(times)):
            known = min(i, int(np.sum(np.asarray(times) <= times[i] - lead)))
            if known < 3:
                continue
            mean, middle = level(known)
            errors.append(values[i] - mean)
            moves.append(np.polyfit(times[:known], values[:known], 1)[0] * (times[i] - middle))
        errors, moves = np.array(errors), np.array(moves)
        independent = min(len(errors), (times[-1] - times[0]) / lead) if lead else len(errors)
        least = np.sum((errors - moves * (errors @ moves) / (moves @ moves)) ** 2)
        ridge = precision * least / independent
        drift = np.clip((errors @ moves + ridge * share) / (moves @ moves + ridge), 0, 1)
        mean, middle = level(len(times))
        slope = drift * np.polyfit(times, values, 1)[0]
        found.append((mean - slope * middle, slope, np.sum((errors - drift * moves) ** 2)))
    constants, slopes, squares = np.array(found).T
    weights = np.array(prior) * (squares / squares.min()) ** (-independent / 2)
    weights /= weights.sum()
    return weights @ constants, weights @ slopes, np.sqrt(weights @ squares / len(errors))
