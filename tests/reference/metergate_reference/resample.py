"""Band-limited values between the samples.

A sum over a window that does not hold a whole number of samples has an error of up to 1000 ppm per 0.1 Hz. The model
therefore evaluates the record at equidistant instants inside the exact window; for a signal without content above
0.45 of the sample rate the interpolation error is below 1e-6 of the amplitude.
"""

import numpy as np

from .sine import sin_turns

HALF_WIDTH = 48
"""Taps each side: with the window below, a transition band of 0.08 of the sample rate and -118 dB."""
_BETA = 12.0
_STEPS = 100_000
# The Kaiser window over half its width; linear between entries is good to 1e-9.
_KAISER = np.i0(_BETA * np.sqrt(np.clip(1.0 - (np.arange(_STEPS + 2) / _STEPS) ** 2, 0.0, None))) / np.i0(_BETA)


def _weights(fraction):
    """Kernel values for positions ``fraction`` (0 to 1) past a sample, one row per position."""
    taps = np.arange(-HALF_WIDTH + 1, HALF_WIDTH + 1)
    distance = fraction[:, None] - taps[None, :]
    on_sample = distance == 0
    # sin(pi (fraction - k)) is sin(pi fraction) with the sign of k's parity: one sine per position.
    sine = np.where(taps % 2 == 0, 1.0, -1.0)[None, :] * sin_turns(fraction / 2)[:, None]
    sinc = np.where(on_sample, 1.0, sine / np.where(on_sample, 1.0, np.pi * distance))
    place = np.abs(distance) * (_STEPS / HALF_WIDTH)
    index = place.astype(np.int64)
    low = _KAISER[index]
    return sinc * (low + (place - index) * (_KAISER[index + 1] - low))


def at(records, positions):
    """Values of each record (dict or 2-D array by row) at float ``positions`` in samples.

    Raises ``ValueError`` when a position lies closer to an end of the record than the kernel is wide.
    """
    single = isinstance(records, np.ndarray) and records.ndim == 1
    data = np.atleast_2d(records)
    base = np.floor(positions).astype(np.int64)
    if base.min() - HALF_WIDTH + 1 < 0 or base.max() + HALF_WIDTH >= data.shape[1]:
        raise ValueError("position outside the record")
    weights = _weights(positions - base)
    index = base[:, None] + np.arange(-HALF_WIDTH + 1, HALF_WIDTH + 1)[None, :]
    out = np.stack([np.einsum("pt,pt->p", row[index], weights) for row in data])
    return out[0] if single else out


def window(records, start, end, points):
    """``points`` equidistant values over [start, end)."""
    return at(records, start + np.arange(points) * ((end - start) / points))
