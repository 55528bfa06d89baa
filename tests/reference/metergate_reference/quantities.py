"""The quantities of one window: U, I, P, Q, S, power factors, angles, neutral current.

P is the mean product, so it holds every harmonic and DC. The legal reactive power is that of the fundamental
(IEC 62053-24); ``q_total`` is sqrt(S^2 - P^2) with its sign (IEC 62053-23 defines Q for sine waves only).
"""

import numpy as np

from . import harmonics, symmetry


def points(rate, f_nominal):
    """Points per basic window: the power of two that keeps all the record's content."""
    return 1 << int(np.ceil(np.log2(rate * (10 / f_nominal if f_nominal == 50 else 12 / f_nominal) * 1.15)))


def rms(x):
    return float(np.sqrt(np.mean(x**2)))


def wrap(deg):
    """An angle in (-180, 180]."""
    return -((-deg + 180.0) % 360.0 - 180.0)


def _degrees(phasor):
    return float(np.degrees(np.angle(phasor)))


def phase(u, i, cycles):
    """Quantities of one phase (or Aron element) from its window of voltage and current."""
    u1, i1 = harmonics.spectrum(u)[cycles], harmonics.spectrum(i)[cycles]
    p, s = float(np.mean(u * i)), rms(u) * rms(i)
    fundamental = u1 * np.conj(i1)
    q1 = float(fundamental.imag)
    out = {"u": rms(u), "i": rms(i), "p": p, "p1": float(fundamental.real), "q1": q1, "s": s,
           "q_total": float(np.copysign(np.sqrt(max(s * s - p * p, 0.0)), q1)), "pf": None, "dpf": None, "phi": None,
           "u_dc": float(np.mean(u)), "i_dc": float(np.mean(i))}
    if s > 1e-9:
        out["pf"] = p / s
    if abs(fundamental) > 1e-9:
        out["dpf"] = float(fundamental.real / abs(fundamental))
        out["phi"] = _degrees(fundamental)
    return out


def window(x, cycles):
    """Everything about one window; ``x`` is a dict channel -> equidistant values over the exact window."""
    c = {name: harmonics.spectrum(values) for name, values in x.items()}
    out = {"phase": {}, "thd": {}, "angle": {}}
    for k in "123":
        if f"U{k}" in x and f"I{k}" in x:
            out["phase"][k] = phase(x[f"U{k}"], x[f"I{k}"], cycles)
        elif f"U{k}" in x:
            out["phase"][k] = {"u": rms(x[f"U{k}"])}
        if f"U{k}" in x and "U1" in x:
            out["angle"][k] = wrap(_degrees(c[f"U{k}"][cycles]) - _degrees(c["U1"][cycles]))
    for name, lines in c.items():
        if abs(lines[cycles]) > 1e-6 * max(np.sqrt(np.sum(np.abs(lines) ** 2)), 1e-9):
            out["thd"][name] = harmonics.thds(lines, cycles)
    if all(f"U{k}" in x for k in "123"):
        phasors = [c[f"U{k}"][cycles] for k in "123"]
        out["u2"], out["u0"] = symmetry.unbalance(*phasors)
        out["rotation"] = symmetry.rotation(*phasors)
        out["u_displacement"] = symmetry.neutral_displacement(*phasors)
    currents = [x[f"I{k}"] for k in "123" if f"I{k}" in x]
    if len(currents) == 3:
        # All currents count positive away from the supply, so a sound installation has i1 + i2 + i3 + iN = 0.
        total = np.sum(currents, axis=0)
        out["i_n_computed"] = rms(total)
        if "IN" in x:
            out["i_n"] = rms(x["IN"])
            out["i_residual"] = rms(total + x["IN"])
    return out
