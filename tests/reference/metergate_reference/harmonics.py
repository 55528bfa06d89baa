"""Harmonics and interharmonics (IEC 61000-4-7) of one 10/12-cycle window.

The window holds exactly 10/12 cycles, so bin k stands at k/10 (k/12) of the fundamental: about 5 Hz apart, and order h
is bin 10 h (12 h) without leakage. Magnitudes are RMS.
"""

import numpy as np

ORDERS = 50
"""Highest order reported."""
THD_ORDERS = 40
"""Highest order in a distortion (IEC 61000-4-30, 5.8)."""


def spectrum(x):
    """RMS phasors of the bins; bin 0 is the DC value. The phase is that of a sine."""
    c = np.fft.rfft(x) / len(x)
    c[1:] *= np.sqrt(2) * 1j  # cosine phasors of peak/2 become sine phasors of RMS
    return c


def _energy(c):
    return np.abs(c) ** 2


def harmonic(c, cycles, order):
    """The single line of an order."""
    return float(abs(c[order * cycles]))


def group(c, cycles, order):
    """4-7 (8): G_g,h, the line, its neighbours, and half the power of the two bins midway to the next order."""
    e, k, half = _energy(c), order * cycles, cycles // 2
    inner = e[k - half + 1:k + half].sum()
    return float(np.sqrt(inner + (e[k - half] + e[k + half]) / 2))


def subgroup(c, cycles, order):
    """4-7 (9): G_sg,h, the line and its two neighbours. This is what 61000-4-30, 5.8 asks for."""
    e, k = _energy(c), order * cycles
    return float(np.sqrt(e[k - 1:k + 2].sum()))


def interharmonic_group(c, cycles, order):
    """4-7 A: all bins between order and order + 1."""
    e, k = _energy(c), order * cycles
    return float(np.sqrt(e[k + 1:k + cycles].sum()))


def interharmonic_subgroup(c, cycles, order):
    """4-7 A: centred subgroup between order and order + 1, without the bins next to either (61000-4-30, 5.9)."""
    e, k = _energy(c), order * cycles
    return float(np.sqrt(e[k + 2:k + cycles - 1].sum()))


def _distortion(values):
    first = values[0]
    return float(np.sqrt(np.sum(np.square(values[1:]))) / first) if first > 0 else None


def thd(c, cycles, orders=THD_ORDERS):
    """4-7, 3.3.1: from the lines."""
    return _distortion([harmonic(c, cycles, h) for h in range(1, orders + 1)])


def thds(c, cycles, orders=THD_ORDERS):
    """4-7, 3.3.3: from the subgroups; the distortion of 61000-4-30."""
    return _distortion([subgroup(c, cycles, h) for h in range(1, orders + 1)])


def thdg(c, cycles, orders=THD_ORDERS):
    """4-7, 3.3.2: from the groups."""
    return _distortion([group(c, cycles, h) for h in range(1, orders + 1)])


def signalling(c, cycles, hertz, fundamental):
    """61000-4-30, 5.10: mains signalling voltage, the root of the squares of the four bins nearest to ``hertz``."""
    k = int(np.floor(hertz / (fundamental / cycles)))
    return float(np.sqrt(_energy(c)[k - 1:k + 3].sum()))


def bands_2_9_khz(x, rate):
    """4-7 B: 200 Hz bands 2.1 ... 8.9 kHz from 100 ms of samples (5 Hz x 2 = 10 Hz bins), dict centre -> RMS.

    Not synchronised to the grid; ``x`` holds exactly rate/10 samples.
    """
    n = rate // 10
    c = np.abs(np.fft.rfft(x[:n]) / n) * np.sqrt(2)
    out = {}
    for centre in range(2100, 9000, 200):
        low = (centre - 100) // 10 + 1
        out[centre] = float(np.sqrt(np.sum(c[low:low + 20] ** 2)))
    return out
