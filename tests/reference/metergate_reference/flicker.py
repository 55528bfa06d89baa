"""Flickermeter for the 230 V lamp at 50 Hz (IEC 61000-4-15, ed. 2).

The filters are applied as their analogue transfer functions in the frequency domain: no discretisation, hence no
warping to blame. Blocks: 1 voltage adaptor, 2 squaring demodulator, 3 band and lamp-eye weighting, 4 squaring and
300 ms smoothing, 5 statistics.
"""

import numpy as np

TAU_ADAPTOR = 27.3
"""Block 1: time constant of the reference voltage, s (10 to 90 % response 60 s, clause 5.2)."""
HIGH_PASS = 0.05
"""Block 3: first order, Hz."""
LOW_PASS = 35.0
"""Block 3: Butterworth, sixth order, Hz (50 Hz systems)."""
TAU_SMOOTH = 0.3
"""Block 4, s."""
K, LAMBDA = 1.74802, 2 * np.pi * 4.05981
W1, W2, W3, W4 = (2 * np.pi * f for f in (9.15494, 2.27979, 1.22535, 21.9))
"""Block 3 weighting: K w1 s / (s^2 + 2 lambda s + w1^2) * (1 + s/w2) / ((1 + s/w3)(1 + s/w4))."""
RATE = 800
"""Rate after block 3, Hz: beyond it the low-pass leaves nothing."""
THRESHOLD_HZ, THRESHOLD_DV = 8.8, 0.0025
"""Sinusoidal fluctuation whose largest Pinst is 1 (table 1a)."""


def weighting(f):
    """Complex response of the lamp-eye filter."""
    s = 2j * np.pi * np.asarray(f, dtype=np.float64)
    return K * W1 * s / (s * s + 2 * LAMBDA * s + W1 * W1) * (1 + s / W2) / ((1 + s / W3) * (1 + s / W4))


def band(f):
    """Complex response of the 0.05 Hz high-pass and the sixth-order low-pass."""
    s = 1j * np.asarray(f, dtype=np.float64)
    response = (s / HIGH_PASS) / (1 + s / HIGH_PASS)
    for k in range(3):
        # Butterworth pole pairs: damping 2 sin((2k + 1) pi / 12).
        damping = 2 * np.sin((2 * k + 1) * np.pi / 12)
        n = s / LOW_PASS
        response = response / (n * n + damping * n + 1)
    return response


def _gain():
    """Factor that makes the largest Pinst of the threshold fluctuation 1.

    With u^2/Uref^2 = 1 + dV/V * cos(w t) the weighted signal has the amplitude a = dV/V * |H(w)|. Squared and smoothed it
    is a^2/2 with a ripple at 2 w that the smoothing leaves.
    """
    a = THRESHOLD_DV * abs(weighting(THRESHOLD_HZ) * band(THRESHOLD_HZ))
    ripple = 1 / np.hypot(1, 2 * np.pi * 2 * THRESHOLD_HZ * TAU_SMOOTH)
    return 1 / (a * a / 2 * (1 + ripple))


GAIN = _gain()


def _filter(x, rate, response, out_rate=None):
    """Applies a frequency response; the ends are continued with their own mean level to start without a step."""
    pad = int(30 * rate)
    head, tail = np.full(pad, x[:rate].mean()), np.full(pad, x[-rate:].mean())
    y = np.concatenate([head, x, tail])
    spectrum = np.fft.rfft(y)
    f = np.fft.rfftfreq(len(y), 1 / rate)
    spectrum *= response(f)
    if out_rate is None or out_rate == rate:
        return np.fft.irfft(spectrum, len(y))[pad:pad + len(x)]
    n = int(len(y) * out_rate // rate)
    out = np.fft.irfft(spectrum[:n // 2 + 1], n) * (n / len(y))
    start = int(pad * out_rate // rate)
    return out[start:start + int(len(x) * out_rate // rate)]


def adaptor(u, rate, f_nominal=50):
    """Block 1: the voltage as a part of its slowly followed RMS value."""
    half = int(round(rate / f_nominal / 2))
    count = len(u) // half
    mean_square = (u[:count * half].reshape(count, half) ** 2).mean(axis=1)
    alpha = 1 - np.exp(-half / rate / TAU_ADAPTOR)
    level, levels = mean_square[:f_nominal * 2].mean(), np.empty(count)
    for k, value in enumerate(np.sqrt(mean_square)):
        root = np.sqrt(level) + alpha * (value - np.sqrt(level))
        level = root * root
        levels[k] = root
    reference = np.interp(np.arange(len(u)), (np.arange(count) + 0.5) * half, levels)
    return u / reference


def pinst(u, rate, f_nominal=50):
    """Instantaneous flicker sensation at :data:`RATE` values a second; (len(u) must be a whole number of seconds)."""
    relative = adaptor(u, rate, f_nominal) ** 2
    weighted = _filter(relative, rate, lambda f: band(f) * weighting(f), RATE)
    smooth = _filter(weighted**2, RATE, lambda f: 1 / (1 + 2j * np.pi * f * TAU_SMOOTH))
    return np.maximum(smooth * GAIN, 0.0)


def pst(sensation):
    """Block 5: short-term severity of ten minutes of Pinst (levels exceeded for a share of the time, smoothed)."""
    def exceeded(*percents):
        return float(np.mean([np.quantile(sensation, 1 - p / 100) for p in percents]))

    return float(np.sqrt(0.0314 * exceeded(0.1) + 0.0525 * exceeded(0.7, 1, 1.5) + 0.0657 * exceeded(2.2, 3, 4)
                         + 0.28 * exceeded(6, 8, 10, 13, 17) + 0.08 * exceeded(30, 50, 80)))


def plt(values):
    """Long-term severity: cube root of the mean cube of twelve Pst."""
    values = np.asarray(values, dtype=np.float64)
    return float(np.cbrt(np.mean(values**3)))
