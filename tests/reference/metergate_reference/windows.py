"""Gapless 10/12-cycle windows and their aggregation (IEC 61000-4-30, 4.4, 4.5, 4.7).

* 4.4: a window is 10 cycles (50 Hz) or 12 cycles (60 Hz), each begins where the last one ended.
* 4.5.2 class A: at every 10-minute tick of UTC a new window begins; the one in progress runs to its end and belongs
  to the interval before the tick (overlap 1). 150/180-cycle intervals do the same (overlap 2).
* 4.5.3: a 10-minute value is made of the windows that began in its ten minutes, a 2-hour value of twelve 10-minute ones.
* 4.5: the aggregate is the square root of the mean of the squares.
* 4.7: an aggregate with a flagged part is flagged.
"""

from dataclasses import dataclass

import numpy as np

CYCLES = {50: 10, 60: 12}
"""Cycles per basic window."""
PER_SHORT = 15
"""Basic windows in a 150/180-cycle interval."""
PER_TWO_HOURS = 12
"""10-minute values in a 2-hour value."""
_SAME = 1e-6  # samples: a boundary this close to the tick is on it


@dataclass(frozen=True)
class Window:
    """One basic window: float sample positions and the number of the tick interval it belongs to."""

    start: float
    end: float
    interval: int


def basic(track, f_nominal, begin, end, ticks=()):
    """All whole windows inside [begin, end]. ``ticks``: sample positions of the 10-minute ticks.

    The first window and the first one after each tick begin at the next rising zero crossing of the fundamental.
    """
    cycles = CYCLES[f_nominal]
    limits = sorted(t for t in ticks if begin < t < end) + [np.inf]
    starts = [begin] + limits[:-1]
    out = []
    for number, (origin, limit) in enumerate(zip(starts, limits)):
        turns = np.ceil(track.turns_at(origin) - 1e-9)
        while True:
            a, b = float(track.position_of(turns)), float(track.position_of(turns + cycles))
            at_end = track.turns_at(end) < turns + cycles
            if a >= limit - _SAME or at_end or b > end:
                break
            out.append(Window(a, b, number))
            turns += cycles
    return out


def short_intervals(windows):
    """4.5.2: groups of 15 windows (150/180 cycles), lists of indices.

    At a tick a new group begins; the pending one is completed with the windows that follow (overlap 2). A group that
    the record does not complete is not reported.
    """
    out, pending, last = [], [], None
    for k, w in enumerate(windows):
        if w.interval != last:
            pending.append([])
            last = w.interval
        for group in pending:
            group.append(k)
        complete = [g for g in pending if len(g) == PER_SHORT]
        out.extend(complete)
        newest = pending[-1] in complete
        pending = [g for g in pending if len(g) < PER_SHORT] + ([[]] if newest else [])
    return out


def long_intervals(windows):
    """4.5.3: windows by 10-minute interval, a dict number -> indices."""
    out = {}
    for k, w in enumerate(windows):
        out.setdefault(w.interval, []).append(k)
    return out


def aggregate(values):
    """4.5: square root of the arithmetic mean of the squared values (along the first axis)."""
    values = np.asarray(values, dtype=np.float64)
    return np.sqrt(np.mean(values**2, axis=0))


def flagged(windows, events):
    """4.7: for each window whether any part of it lies in a dip, swell or interruption [(start, end), ...]."""
    return [any(w.start < stop and w.end > start for start, stop in events) for w in windows]
