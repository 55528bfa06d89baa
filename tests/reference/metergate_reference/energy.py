"""Four-quadrant energies, calculation methods, topologies (MET-001, MET-008 to MET-012, MET-033 to MET-035, MET-043).

Quadrants as in IEC 62053-23: 1 import inductive, 2 export capacitive, 3 export inductive, 4 import capacitive; so
R+ = R1 + R2 belongs to Q > 0 and R- = R3 + R4 to Q < 0. Zero power counts as import, zero reactive power as inductive.

Every window adds power times duration. Methods (of a four-wire meter; the requirement calls each "our reading"):

1. per phase: each phase's result goes to the registers of its own sign and quadrant;
2. vector: P and Q are summed with their signs, S = sqrt(P^2 + Q^2), one result in one quadrant;
3. magnitude: sums of |P|, |Q| and S, all in quadrant 1 (a Ferraris meter with a backstop per phase).

Aron is two elements by method 2. One-phase is one phase by any method (method 3 still turns export into import).
"""

from dataclasses import dataclass, field

import numpy as np

KINDS = ("a_plus", "a_minus", "r1", "r2", "r3", "r4", "e_plus", "e_minus")
ELEMENTS = {"one-phase": "1", "three-phase": "123", "aron": "13"}
METHODS = (1, 2, 3)


def quadrant(p, q):
    """1 to 4."""
    if p >= 0:
        return 1 if q >= 0 else 4
    return 2 if q >= 0 else 3


def split(p, q, s):
    """One result as the eight directed powers."""
    out = dict.fromkeys(KINDS, 0.0)
    out["a_plus" if p >= 0 else "a_minus"] = abs(p)
    out[f"r{quadrant(p, q)}"] = abs(q)
    out["e_plus" if p >= 0 else "e_minus"] = s
    return out


def gate(p, q, s, start):
    """MET-043: below the registration threshold (W, var, VA) a kind of energy of a phase does not register."""
    return (p if abs(p) >= start else 0.0, q if abs(q) >= start else 0.0, s if s >= start else 0.0)


def total(elements, method):
    """The directed powers of the legal total from [(p, q, s) per element]."""
    if method == 1:
        parts = [split(*e) for e in elements]
        return {k: sum(p[k] for p in parts) for k in KINDS}
    if method == 2:
        p, q = sum(e[0] for e in elements), sum(e[1] for e in elements)
        return split(p, q, float(np.hypot(p, q)))
    if method == 3:
        return split(*(sum(abs(e[j]) for e in elements) for j in range(3)))
    raise ValueError(f"no calculation method {method}")


@dataclass
class Registers:
    """Energies in J, var s, VA s: per element and the legal total."""

    topology: str = "three-phase"
    method: int = 1
    start: float = 0.0
    phase: dict = field(default_factory=dict)
    total: dict = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))

    def __post_init__(self):
        if self.topology == "aron" and self.method != 2:
            raise ValueError("Aron is method 2 by its nature")
        self.phase = {k: dict.fromkeys(KINDS, 0.0) for k in ELEMENTS[self.topology]}

    def add(self, powers, seconds):
        """One window: ``powers`` is element -> (p, q, s)."""
        gated = {k: gate(*powers[k], self.start) for k in self.phase}
        for k, values in gated.items():
            for kind, value in split(*values).items():
                self.phase[k][kind] += value * seconds
        for kind, value in total(list(gated.values()), self.method).items():
            self.total[kind] += value * seconds


def totals(powers, method):
    """Signed total P, Q, S and the total power factor of one window, by method."""
    t = total(powers, method)
    p, q, s = t["a_plus"] - t["a_minus"], t["r1"] + t["r2"] - t["r3"] - t["r4"], t["e_plus"] + t["e_minus"]
    return {"p": p, "q": q, "s": s, "pf": p / s if s > 1e-9 else None}
