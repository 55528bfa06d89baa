"""Grid phase and frequency of a voltage record (IEC 61000-4-30, 5.1).

The fundamental is brought to zero frequency and low-pass filtered with a symmetric (zero phase) filter, so harmonics,
DC and noise are gone before any zero crossing is looked for, as 5.1.1 demands. The unwrapped angle is the grid phase
in turns; a fundamental zero crossing (rising) is an integer of it.
"""

from dataclasses import dataclass

import numpy as np

CYCLES = 10
"""Length of the low-pass in nominal cycles: with the Kaiser window below, everything beyond 20 Hz is at -90 dB."""
_BETA = 12.0
RANGE = {50: (42.5, 57.5), 60: (51.0, 69.0)}
"""Measuring range of the frequency, Hz (IEC 61000-4-30, 5.1.2)."""
MIN_LEVEL = 0.05
"""Below this part of the record's largest fundamental the phase is not believed but carried on at the last frequency."""


@dataclass
class Track:
    """Grid phase of a record: ``turns[n]`` at sample n, and which samples really had a voltage."""

    turns: np.ndarray
    valid: np.ndarray
    magnitude: np.ndarray
    rate: float

    def turns_at(self, position):
        """Phase at a position, linear between samples and carried on straight beyond the ends."""
        base = np.clip(np.floor(position).astype(np.int64), 0, len(self.turns) - 2)
        return self.turns[base] + (position - base) * (self.turns[base + 1] - self.turns[base])

    def position_of(self, turns):
        """Sample position at which the phase reaches ``turns``."""
        base = np.clip(np.searchsorted(self.turns, turns, side="right") - 1, 0, len(self.turns) - 2)
        return base + (turns - self.turns[base]) / (self.turns[base + 1] - self.turns[base])

    def next_zero(self, position):
        """First rising zero crossing at or after ``position``."""
        return float(self.position_of(np.ceil(self.turns_at(position) - 1e-9)))

    def frequency(self, start, end):
        """Mean frequency between two positions, Hz; None when the voltage was absent for any part."""
        a, b = int(np.ceil(start)), int(np.floor(end))
        if not self.valid[max(a, 0):b + 1].all():
            return None
        return float((self.turns_at(end) - self.turns_at(start)) / (end - start) * self.rate)

    def shifted(self, turns):
        """The same track for a channel whose phase is ahead by ``turns``."""
        return Track(self.turns + turns, self.valid, self.magnitude, self.rate)


def _coarse(x, rate, f_nominal):
    """Frequency of the largest spectral line between 0.6 and 1.8 of nominal."""
    n = 1 << int(np.ceil(np.log2(len(x))) + 1)
    spectrum = np.abs(np.fft.rfft((x - x.mean()) * np.hanning(len(x)), n))
    f = np.arange(len(spectrum)) * rate / n
    band = (f > 0.6 * f_nominal) & (f < 1.8 * f_nominal)
    return float(f[band][np.argmax(spectrum[band])])


def _bridge(angle, good, half):
    """After a gap the angle is known but for whole turns: take the one nearest to the frequency before the gap."""
    out = angle.copy()
    for gap in np.flatnonzero(np.diff(good) > 1):
        before, after = good[gap], good[gap + 1]
        fit = good[max(gap - half, 0):gap + 1]
        slope = np.polyfit(fit - before, out[fit], 1)[0] if len(fit) > 1 else 0.0
        expected = out[before] + slope * (after - before)
        out[after:] += np.rint(expected - out[after])
    return out


def track(x, rate, f_nominal):
    """Phase track of one voltage record. Raises ``ValueError`` for records shorter than two filters."""
    half = int(round(CYCLES / 2 * rate / f_nominal))
    if len(x) < 4 * half:
        raise ValueError(f"a record needs at least {4 * half} samples")
    f0 = _coarse(x, rate, f_nominal)
    n = np.arange(len(x))
    carrier = np.exp(-2j * np.pi * ((n * (f0 / rate)) % 1.0))
    kernel = np.kaiser(2 * half + 1, _BETA)
    kernel /= kernel.sum()
    size = 1 << int(np.ceil(np.log2(len(x) + 2 * half)))
    z = np.fft.ifft(np.fft.fft(x * carrier, size) * np.fft.fft(kernel, size))[half:half + len(x)] * 2.0
    magnitude = np.abs(z) / np.sqrt(2)
    # x = sqrt2 rms sin(2 pi theta) = Im(...): its positive-frequency phasor is -j e^(j theta), hence the quarter turn.
    angle = np.unwrap(np.angle(z)) / (2 * np.pi) + 0.25
    inner = np.zeros(len(x), dtype=bool)
    inner[half:len(x) - half] = True
    valid = inner & (magnitude > MIN_LEVEL * magnitude[inner].max())
    good = np.flatnonzero(valid)
    angle = _bridge(angle, good, half)
    # Carry the phase across gaps and to the ends: straight lines, i.e. constant frequency.
    slow = np.interp(n, good, angle[good])
    for edge, side in ((good[:half], n < good[0]), (good[-half:], n > good[-1])):
        slope, offset = np.polyfit(edge - edge[0], angle[edge], 1)
        slow[side] = offset + slope * (n[side] - edge[0])
    present = valid.copy()
    present[:good[0]] = True  # the filter's own edges count as present: the voltage is there, only the filter is not
    present[good[-1]:] = True
    return Track(slow + n * (f0 / rate), present, magnitude, rate)


def in_range(f, f_nominal):
    """Whether a frequency lies in the measuring range of 5.1.2."""
    low, high = RANGE[f_nominal]
    return f is not None and low <= f <= high


def ten_second(t, start, end):
    """5.1.1: whole cycles counted in the interval, divided by their cumulative duration. Positions in samples."""
    first, last = np.ceil(t.turns_at(start)), np.floor(t.turns_at(end))
    if last <= first:
        return None
    a, b = t.position_of(first), t.position_of(last)
    return None if t.frequency(a, b) is None else float((last - first) / (b - a) * t.rate)
