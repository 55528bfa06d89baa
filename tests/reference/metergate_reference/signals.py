"""Test signals that know the right answer.

A :class:`Scene` is a full description of the seven inputs: tones tied to the grid phase (harmonics and
interharmonics by order), tones at a fixed frequency, DC, stepwise and periodic changes of magnitude, and a frequency
that may change. :func:`samples` renders it, :func:`truth` says what a perfect meter shows, without any sample.
"""

from dataclasses import dataclass, replace

import numpy as np

from . import CHANNELS
from .sine import cos_turns, sin_turns

FULL_SCALE = 1 << 23
"""Counts at the stated peak value: 24-bit converters, in i32."""


@dataclass(frozen=True)
class Tone:
    """``sqrt(2) * rms * sin(2 pi (order * theta + deg / 360))``; with ``hz`` set, a tone not tied to the grid."""

    rms: float
    deg: float = 0.0
    order: float = 1.0
    hz: float | None = None


@dataclass(frozen=True)
class Envelope:
    """Factor on a channel's tones over time.

    ``steps``: (time in s, factor), each valid from its time on; before the first the factor is 1.
    ``modulation``: (shape "sin" or "rect", hertz, relative change dV/V, peak to peak), the definition of
    IEC 61000-4-15: the factor is 1 + dV/V/2 * shape.
    """

    steps: tuple = ()
    modulation: tuple | None = None

    def at(self, t):
        factor = np.ones_like(t)
        for when, value in self.steps:
            factor = np.where(t >= when - 1e-9, value, factor)
        if self.modulation:
            shape, hz, depth = self.modulation
            wave = sin_turns(t * hz)
            if shape == "rect":
                # The half sample keeps the edge off the exact zero of the sine, where rounding would decide.
                wave = np.where(((t * hz) % 1.0) < 0.5, 1.0, -1.0)
            factor = factor * (1.0 + depth / 2.0 * wave)
        return factor

    @property
    def steady(self):
        return not self.steps and not self.modulation


@dataclass(frozen=True)
class Channel:
    """One input: tones, DC, envelope."""

    tones: tuple = ()
    dc: float = 0.0
    envelope: Envelope = Envelope()


@dataclass(frozen=True)
class Scene:
    """Everything that decides the samples, and what a meter must be told to read them."""

    channels: dict
    seconds: float = 2.0
    rate: int = 8000
    f_nominal: int = 50
    frequency: tuple = ((0.0, 50.0),)
    u_nominal: float = 230.0
    u_full_scale: float = 600.0
    i_full_scale: float = 200.0
    topology: str = "three-phase"
    noise_counts: float = 0.0
    seed: int = 1
    start_utc_us: int = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z

    @property
    def count(self):
        return int(round(self.seconds * self.rate))

    def full_scale(self, channel):
        """Peak value in V or A at 2^23 counts."""
        return self.u_full_scale if channel.startswith("U") else self.i_full_scale

    def with_(self, **changes):
        return replace(self, **changes)


def theta(scene, t):
    """Grid phase in turns: the integral of the piecewise linear frequency profile ((t, Hz), ...)."""
    t = np.asarray(t, dtype=np.float64)
    points = list(scene.frequency)
    if len(points) == 1:
        return t * points[0][1]
    out = np.zeros_like(t)
    for (t0, f0), (t1, f1) in zip(points, points[1:]):
        span = np.clip(t - t0, 0.0, t1 - t0)
        slope = (f1 - f0) / (t1 - t0) if t1 > t0 else 0.0
        out = out + span * f0 + 0.5 * slope * span * span
    t_last, f_last = points[-1]
    return out + np.maximum(t - t_last, 0.0) * f_last


def render(scene):
    """Physical values, a dict channel -> array in V or A. Absent channels are absent."""
    t = np.arange(scene.count, dtype=np.float64) / scene.rate
    turns = theta(scene, t)
    out = {}
    for name, channel in scene.channels.items():
        x = np.zeros(scene.count)
        for tone in channel.tones:
            phase = t * tone.hz if tone.hz is not None else turns * tone.order
            x = x + tone.rms * 1.4142135623730951 * sin_turns(phase + tone.deg / 360.0)
        out[name] = x * channel.envelope.at(t) + channel.dc
    return out


def quantise(scene, physical):
    """Counts as the converter gives them: an (n, 7) array of i32, clipped to 24 bits; absent channels are zero."""
    out = np.zeros((scene.count, len(CHANNELS)), dtype=np.int32)
    rng = np.random.Generator(np.random.PCG64(scene.seed))
    for k, name in enumerate(CHANNELS):
        if name not in physical:
            continue
        counts = physical[name] * (FULL_SCALE / scene.full_scale(name))
        if scene.noise_counts:
            # The sum of twelve uniform integers: near Gaussian, and the same bits everywhere.
            raw = rng.integers(0, 1 << 20, size=(12, scene.count)).sum(axis=0)
            counts = counts + (raw / float(1 << 20) - 6.0) * scene.noise_counts
        out[:, k] = np.clip(np.rint(counts), -FULL_SCALE, FULL_SCALE - 1).astype(np.int32)
    return out


def samples(scene):
    """Counts of the scene, (n, 7) i32."""
    return quantise(scene, render(scene))


def to_physical(counts, scene, names=None):
    """Back from counts to V and A; ``names`` limits the channels."""
    return {
        name: counts[:, k] * (scene.full_scale(name) / FULL_SCALE)
        for k, name in enumerate(CHANNELS)
        if name in (names or scene.channels)
    }


# --- what a perfect meter shows ------------------------------------------------------------------------------------


def _phasor(channel, order):
    total = 0j
    for tone in channel.tones:
        if tone.hz is None and tone.order == order:
            total += tone.rms * complex(cos_turns(tone.deg / 360.0), sin_turns(tone.deg / 360.0))
    return total


def _orders(*channels):
    return sorted({t.order for c in channels for t in c.tones})


def truth(scene):
    """Analytic values of a steady scene: no samples, no windows. Only for constant envelopes and grid-tied tones."""
    for c in scene.channels.values():
        if not c.envelope.steady or any(t.hz is not None for t in c.tones):
            raise ValueError("the analytic truth needs a steady scene")
    out = {"f": scene.frequency[-1][1], "rms": {}, "fundamental": {}, "thd": {}, "phase": {}}
    for name, c in scene.channels.items():
        squares = sum(abs(_phasor(c, h)) ** 2 for h in _orders(c))
        out["rms"][name] = float(np.sqrt(squares + c.dc**2))
        first = _phasor(c, 1.0)
        out["fundamental"][name] = first
        if abs(first) > 0:
            harmonics = [abs(_phasor(c, h)) for h in _orders(c) if 2 <= h <= 40 and h == int(h)]
            out["thd"][name] = float(np.sqrt(sum(h * h for h in harmonics)) / abs(first))
    for k in "123":
        if f"U{k}" not in scene.channels or f"I{k}" not in scene.channels:
            continue
        u, i = scene.channels[f"U{k}"], scene.channels[f"I{k}"]
        p = sum((_phasor(u, h) * np.conj(_phasor(i, h))).real for h in _orders(u, i)) + u.dc * i.dc
        s1 = _phasor(u, 1.0) * np.conj(_phasor(i, 1.0))
        out["phase"][k] = {"p": float(p), "q1": float(s1.imag), "p1": float(s1.real),
                           "s": out["rms"][f"U{k}"] * out["rms"][f"I{k}"]}
    return out


# --- building blocks -----------------------------------------------------------------------------------------------


def _settled(value):
    """Rounds what came from a library function, so that the last bit of another machine cannot reach the samples."""
    return round(float(value), 9)


def grid(u=230.0, i=10.0, phi=0.0, neutral=True, **scene):
    """A symmetric four-wire system; ``phi`` in degrees, positive = inductive; 180 reverses the power."""
    channels = {}
    for k, shift in (("1", 0.0), ("2", -120.0), ("3", 120.0)):
        channels[f"U{k}"] = Channel((Tone(u, shift),))
        channels[f"I{k}"] = Channel((Tone(i, shift - phi),))
    if neutral:
        channels["IN"] = Channel(())
    return Scene(channels, **scene)


def loads(phases, u=230.0, **scene):
    """Four-wire system with the given (P in W, Q in var) per phase and the neutral current they cause."""
    channels, total = {}, 0j
    for k, shift, (p, q) in zip("123", (0.0, -120.0, 120.0), phases):
        current = (p - 1j * q) / u
        deg = _settled(shift + np.degrees(np.angle(current)))
        channels[f"U{k}"] = Channel((Tone(u, shift),))
        channels[f"I{k}"] = Channel((Tone(_settled(abs(current)), deg),) if abs(current) else ())
        total -= current * np.exp(1j * np.radians(shift))
    neutral = (Tone(_settled(abs(total)), _settled(np.degrees(np.angle(total)))),)
    channels["IN"] = Channel(neutral if abs(total) > 1e-9 else ())
    return Scene(channels, **scene)


def aron(u=230.0, i=5.0, phi=0.0, **scene):
    """Three-wire system seen by two elements: U1 = U12, U3 = U32 (``u`` is line to line), I1, I3."""
    # Phase voltages at 0, -120, +120 degrees: U12 leads U1 by 30 degrees, U32 = U3 - U2 stands at 90 degrees.
    channels = {
        "U1": Channel((Tone(u, 30.0),)),
        "U3": Channel((Tone(u, 90.0),)),
        "I1": Channel((Tone(i, -phi),)),
        "I3": Channel((Tone(i, 120.0 - phi),)),
    }
    return Scene(channels, topology="aron", **scene)


def half_wave(peak, shift=0.0, orders=50):
    """A half-wave rectified current as its Fourier series up to ``orders``: (tones, DC)."""
    tones = [Tone(_settled(peak / 2 / np.sqrt(2)), shift)]
    for h in range(2, orders + 1, 2):
        # -2 peak / (pi (h^2 - 1)) cos(h x), written as a sine with 270 degrees; x is shifted with the phase.
        tones.append(Tone(_settled(2 * peak / (np.pi * (h * h - 1)) / np.sqrt(2)), h * shift + 270.0, h))
    return tuple(tones), _settled(peak / np.pi)


def phase_fired(peak, shift=0.0, orders=50):
    """A current conducting from 90 to 180 degrees of each half-wave, as its Fourier series."""
    tones = []
    for h in range(1, orders + 1, 2):
        # a_h = 2/pi * integral over (pi/2, pi) of sin x cos hx, b_h likewise with sin hx; half-wave symmetry doubles.
        if h == 1:
            a, b = -1 / np.pi, 0.5
        else:
            def part(n, x):
                return -np.cos(n * x) / n
            a = (part(1 + h, np.pi) - part(1 + h, np.pi / 2) + part(1 - h, np.pi) - part(1 - h, np.pi / 2)) / np.pi
            def sin_part(n, x):
                return np.sin(n * x) / n
            b = (sin_part(h - 1, np.pi) - sin_part(h - 1, np.pi / 2)
                 - sin_part(h + 1, np.pi) + sin_part(h + 1, np.pi / 2)) / np.pi
        c = complex(b, a)  # a cos + b sin = |c| sin(x + arg(b + ja))
        deg = _settled(h * shift + np.degrees(np.angle(c)))
        tones.append(Tone(_settled(peak * abs(c) / np.sqrt(2)), deg, h))
    return tuple(tones)
