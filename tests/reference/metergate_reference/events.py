"""Half-cycle values, dips, swells, interruptions, rapid voltage changes (IEC 61000-4-30, 5.4, 5.5, 5.11)."""

from dataclasses import dataclass

import numpy as np

from . import resample

DIP, SWELL, INTERRUPTION, HYSTERESIS = 0.90, 1.10, 0.05, 0.02
"""Usual thresholds as parts of the declared voltage (5.4.2, 5.5.2)."""
POINTS = 256
"""Points per cycle: room for order 127."""


@dataclass(frozen=True)
class Event:
    """A dip, swell or interruption over all channels: positions in samples, extreme voltage, channels that took part."""

    kind: str
    start: float
    end: float | None
    extreme: float
    channels: tuple


@dataclass(frozen=True)
class RapidChange:
    """A rapid voltage change of one channel: positions in samples, dUmax and dUss in V."""

    start: float
    end: float
    du_max: float
    du_ss: float


def half_cycles(track, begin, end):
    """Start positions of the one-cycle windows of Urms(1/2): every zero crossing of the fundamental, both directions."""
    first = np.ceil(2 * track.turns_at(begin) - 1e-9) / 2
    last = np.floor(2 * track.turns_at(end) + 1e-9) / 2 - 1
    turns = np.arange(first, last + 0.25, 0.5)
    return track.position_of(turns), track.position_of(turns + 1)


def urms_half(records, track, begin, end):
    """Urms(1/2), 3.22: RMS over one cycle, refreshed each half-cycle. Returns (starts, ends, values[channel, n]).

    All channels are timed by the one track given: give each channel its own for class A, one reference for class S.
    """
    starts, ends = half_cycles(track, begin, end)
    grid = np.arange(POINTS) / POINTS
    values = np.empty((len(records), len(starts)))
    for k, (a, b) in enumerate(zip(starts, ends)):
        x = resample.at(records, a + grid * (b - a))
        values[:, k] = np.sqrt(np.mean(x**2, axis=1))
    return starts, ends, values


def _runs(begins, finishes):
    """Intervals [k0, k1) from per-value flags: one begins where ``begins``, ends at the first later ``finishes``."""
    start, out = None, []
    for k in range(len(begins)):
        if start is None and begins[k]:
            start = k
        elif start is not None and finishes[k]:
            out.append((start, k))
            start = None
    if start is not None:
        out.append((start, None))
    return out


def detect(kind, starts, values, declared, threshold=None, hysteresis=HYSTERESIS):
    """Events of one kind. An event is stamped with the start of the first value beyond the threshold and the start of
    the first value back inside (5.4.2, 5.5.2): one found by all channels together.

    * dip: begins when any channel is below; ends when all are at or above threshold + hysteresis;
    * swell: begins when any channel is above; ends when all are at or below threshold - hysteresis;
    * interruption: begins when all channels are below; ends when any is at or above threshold + hysteresis.
    """
    level = {"dip": DIP, "swell": SWELL, "interruption": INTERRUPTION}[kind] if threshold is None else threshold
    limit, margin = level * declared, hysteresis * declared
    if kind == "dip":
        beyond, back, extreme = values < limit, (values >= limit + margin).all(axis=0), np.min
        begins = beyond.any(axis=0)
    elif kind == "swell":
        beyond, back, extreme = values > limit, (values <= limit - margin).all(axis=0), np.max
        begins = beyond.any(axis=0)
    else:
        beyond, back, extreme = values < limit, (values >= limit + margin).any(axis=0), np.min
        begins = beyond.all(axis=0)
    out = []
    for a, b in _runs(begins, back):
        part = slice(a, b)
        channels = tuple(int(c) for c in np.flatnonzero(beyond[:, part].any(axis=1)))
        end = None if b is None else float(starts[b])
        out.append(Event(kind, float(starts[a]), end, float(extreme(values[:, part])), channels))
    return out


def rapid_changes(starts, values, declared, threshold=0.05, hysteresis=0.5, per_second=100):
    """5.11.2 on one channel. ``per_second`` is 100 (50 Hz) or 120 (60 Hz).

    The voltage is steady while each of the newest 100/120 values lies within the threshold of their mean; once a
    change has begun, within the threshold less its hysteresis. The change begins with the value that ends the steady
    state; it ends 100/120 values before the steady state returns, i.e. with the first value of the new steady state, so
    an abrupt step lasts no time at all. A change that reaches a dip or swell threshold is none (the caller keeps
    those events), and one that the record does not end is not reported.
    """
    limit = threshold * declared
    inner = limit * (1 - hysteresis)
    out, before, start = [], None, None
    for k in range(per_second, len(values)):
        newest = values[k - per_second + 1:k + 1]
        apart = np.abs(newest - newest.mean())
        if start is None and apart.max() > limit:
            start, before = k, values[k - per_second:k].mean()
        elif start is not None and apart.max() <= inner:
            moving = values[start:k + 1]
            if moving.min() >= DIP * declared and moving.max() <= SWELL * declared:
                end = max(k - per_second + 1, start)
                out.append(RapidChange(float(starts[start]), float(starts[end]),
                                       float(np.abs(moving - before).max()), float(abs(newest.mean() - before))))
            start = None
    return out
