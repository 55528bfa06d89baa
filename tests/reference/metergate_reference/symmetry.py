"""Symmetrical components of the fundamental (IEC 61000-4-30, 5.7), rotation, neutral displacement."""

import numpy as np

_A = np.exp(2j * np.pi / 3)


def components(u1, u2, u3):
    """Zero, positive and negative sequence phasors (Fortescue)."""
    zero = (u1 + u2 + u3) / 3
    positive = (u1 + _A * u2 + _A**2 * u3) / 3
    negative = (u1 + _A**2 * u2 + _A * u3) / 3
    return zero, positive, negative


def unbalance(u1, u2, u3):
    """(u2, u0) in per cent of the positive sequence; None where there is none to speak of (below 1 % of the largest
    phase: reversed rotation, or no voltage)."""
    zero, positive, negative = components(u1, u2, u3)
    if abs(positive) <= 0.01 * max(abs(u1), abs(u2), abs(u3)):
        return None, None
    return 100 * abs(negative) / abs(positive), 100 * abs(zero) / abs(positive)


def unbalance_from_lines(u12, u23, u31):
    """5.7.1: u2 in per cent from the fundamental RMS of the three line voltages alone."""
    squares = np.array([u12, u23, u31], dtype=np.float64) ** 2
    beta = (squares**2).sum() / squares.sum() ** 2
    root = np.sqrt(max(3 - 6 * beta, 0.0))
    return 100 * float(np.sqrt((1 - root) / (1 + root)))


def rotation(u1, u2, u3):
    """ "L1-L2-L3" or "L1-L3-L2"; None when two phases or more are missing, or neither prevails."""
    largest = max(abs(u1), abs(u2), abs(u3))
    if largest == 0 or sum(abs(u) > 0.2 * largest for u in (u1, u2, u3)) < 2:
        return None
    _, positive, negative = components(u1, u2, u3)
    if abs(abs(positive) - abs(negative)) < 0.05 * largest:
        return None
    return "L1-L2-L3" if abs(positive) > abs(negative) else "L1-L3-L2"


def neutral_displacement(u1, u2, u3):
    """Displacement of the neutral point, V: one third of the phasor sum of the phase voltages."""
    return abs(components(u1, u2, u3)[0])
