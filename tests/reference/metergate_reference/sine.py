"""Sine and cosine from additions and multiplications only.

A vector's samples must have the same SHA-256 on every machine. The sine of numpy and of the C library may differ
in the last bit between processors; IEEE 754 addition and multiplication may not. Arguments are in turns (1 = a full
period), which also makes the argument reduction exact.
"""

import numpy as np

# Taylor coefficients of sin(2 pi r) for |r| <= 1/4. The first dropped term is (pi/2)^23 / 23!, about 1e-18.
_TERMS = 11


def _coefficients():
    two_pi = 6.283185307179586
    out, power, factorial = [], two_pi, 1.0
    for k in range(_TERMS):
        out.append(power / factorial)
        power *= -two_pi * two_pi
        factorial *= (2 * k + 2) * (2 * k + 3)
    return out


_C = _coefficients()


def sin_turns(turns):
    """Sine of 2*pi*turns, the same bits on every IEEE 754 machine."""
    turns = np.asarray(turns, dtype=np.float64)
    r = turns - np.rint(turns)  # exact: |r| <= 1/2
    r = np.where(r > 0.25, 0.5 - r, np.where(r < -0.25, -0.5 - r, r))
    square = r * r
    total = np.full_like(r, _C[-1])
    for c in reversed(_C[:-1]):
        total = total * square
        total = total + c
    return total * r


def cos_turns(turns):
    """Cosine of 2*pi*turns."""
    return sin_turns(np.asarray(turns, dtype=np.float64) + 0.25)
