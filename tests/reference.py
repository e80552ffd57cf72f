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
