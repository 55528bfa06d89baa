"""The whole model over one record of counts: what the golden vectors expect."""

import numpy as np

from . import CHANNELS, energy, events, harmonics, phase, quantities, resample, signals, symmetry, windows

MARGIN = resample.HALF_WIDTH + 2
"""Samples at each end that only serve the interpolation."""


def reference_channel(physical):
    """U1, or the first voltage with at least half of the largest one's RMS (4-30, 4.3: a reference channel)."""
    names = [n for n in CHANNELS if n.startswith("U") and n in physical]
    levels = {n: quantities.rms(physical[n] - physical[n].mean()) for n in names}
    return next(n for n in names if levels[n] >= 0.5 * max(levels.values()))


class Analysis:
    """Windows, quantities, half-cycle values and events of one record.

    ``ticks``: positions of 10-minute ticks in samples.
    """

    def __init__(self, scene, counts, ticks=()):
        self.scene, self.counts = scene, counts
        self.physical = signals.to_physical(counts, scene)
        self.names = [n for n in CHANNELS if n in self.physical]
        self.data = np.stack([self.physical[n] for n in self.names])
        self.cycles = windows.CYCLES[scene.f_nominal]
        self.reference = reference_channel(self.physical)
        self.track = phase.track(self.physical[self.reference], scene.rate, scene.f_nominal)
        self.begin, self.end = MARGIN, counts.shape[0] - MARGIN
        self.windows = windows.basic(self.track, scene.f_nominal, self.begin, self.end, ticks)
        self.points = quantities.points(scene.rate, scene.f_nominal)
        self.blocks = [dict(zip(self.names, resample.window(self.data, w.start, w.end, self.points)))
                       for w in self.windows]
        self.values = [quantities.window(x, self.cycles) for x in self.blocks]

    # --- means -----------------------------------------------------------------------------------------------------

    def means(self):
        """Means over all windows: RMS values by their squares, everything else arithmetically."""
        out = {"f_hz": self.frequency(), "phase": {}, "thd": {}}
        for k in self.values[0]["phase"]:
            rows = [v["phase"][k] for v in self.values]
            out["phase"][k] = {q: _mean([r[q] for r in rows], squared=q in ("u", "i")) for q in rows[0]}
            if "phi" in rows[0]:
                out["phase"][k]["phi"] = _mean_angle([r["phi"] for r in rows])
        out["angle"] = {k: _mean_angle([v["angle"][k] for v in self.values]) for k in self.values[0]["angle"]}
        for n in self.names:
            out["thd"][n] = _mean([v["thd"].get(n) for v in self.values])
        for key in ("u2", "u0", "u_displacement"):
            out[key] = _mean([v.get(key) for v in self.values])
        for key in ("i_n", "i_n_computed", "i_residual"):
            out[key] = _mean([v.get(key) for v in self.values], squared=True)
        rotations = {v.get("rotation") for v in self.values}
        out["rotation"] = rotations.pop() if len(rotations) == 1 else None
        return out

    def frequency(self):
        """Mean frequency over all windows; None when out of range or absent."""
        f = self.track.frequency(self.windows[0].start, self.windows[-1].end)
        return f if phase.in_range(f, self.scene.f_nominal) else None

    def spectra(self):
        """Per channel: RMS over the windows of lines, subgroups, groups, interharmonic subgroups up to order 50."""
        out = {}
        highest = min(harmonics.ORDERS, self.points // 2 // self.cycles - 1)
        for n in self.names:
            c = [harmonics.spectrum(x[n]) for x in self.blocks]
            out[n] = {
                kind: [_mean([f(s, self.cycles, h) for s in c], squared=True) for h in range(1, highest + 1)]
                for kind, f in (("line", harmonics.harmonic), ("subgroup", harmonics.subgroup),
                                ("group", harmonics.group), ("inter_subgroup", harmonics.interharmonic_subgroup))
            }
        return out

    # --- energies --------------------------------------------------------------------------------------------------

    def elements(self):
        return energy.ELEMENTS[self.scene.topology]

    def powers(self, value):
        """(P, Q fundamental, S) per element of one window."""
        return {k: (value["phase"][k]["p"], value["phase"][k]["q1"], value["phase"][k]["s"]) for k in self.elements()}

    def energies(self, method, start=0.0):
        """Registers over all windows; overlapping windows after a tick would count twice and are refused."""
        if len({w.interval for w in self.windows}) > 1:
            raise ValueError("energies need windows without ticks")
        registers = energy.Registers(self.scene.topology, method, start)
        for w, v in zip(self.windows, self.values):
            registers.add(self.powers(v), (w.end - w.start) / self.scene.rate)
        return registers

    def totals(self, method):
        """Mean total P, Q, S over all windows by method."""
        rows = [energy.totals(list(self.powers(v).values()), method) for v in self.values]
        return {q: _mean([r[q] for r in rows]) for q in rows[0]}

    # --- events ----------------------------------------------------------------------------------------------------

    def half_cycles(self, per_channel=False):
        """(starts, ends, Urms(1/2) by voltage channel), timed by the reference channel, or each by itself."""
        names = [n for n in self.names if n.startswith("U")]
        if not per_channel:
            data = np.stack([self.physical[n] for n in names])
            return events.urms_half(data, self.track, self.begin, self.end)
        out = []
        for n in names:
            track = phase.track(self.physical[n], self.scene.rate, self.scene.f_nominal)
            out.append(events.urms_half(self.physical[n][None, :], track, self.begin, self.end))
        return out

    def events(self):
        """Dips, swells and interruptions, by their start."""
        starts, _, values = self.half_cycles()
        found = []
        for kind in ("dip", "swell", "interruption"):
            found += events.detect(kind, starts, values, self.scene.u_nominal)
        return sorted(found, key=lambda e: (e.start, e.kind))

    def rapid_changes(self):
        """Rapid voltage changes by channel name."""
        starts, _, values = self.half_cycles()
        names = [n for n in self.names if n.startswith("U")]
        per_second = 2 * self.scene.f_nominal
        return {n: events.rapid_changes(starts, v, self.scene.u_nominal, per_second=per_second)
                for n, v in zip(names, values)}

    def clipped(self):
        """Samples at either end of the converter's range, by channel."""
        top, bottom = signals.FULL_SCALE - 1, -signals.FULL_SCALE
        columns = {n: self.counts[:, CHANNELS.index(n)] for n in self.names}
        return {n: int(np.count_nonzero((c == top) | (c == bottom))) for n, c in columns.items()}


def line_unbalance(analysis):
    """u2 of an Aron meter, from its two line voltages and the third they imply (4-30, 5.7.1)."""
    out = []
    for x in analysis.blocks:
        u12 = harmonics.spectrum(x["U1"])[analysis.cycles]
        u32 = harmonics.spectrum(x["U3"])[analysis.cycles]
        out.append(symmetry.unbalance_from_lines(abs(u12), abs(u32), abs(u12 - u32)))
    return float(np.mean(out))


def _mean(values, squared=False):
    present = [v for v in values if v is not None]
    if not present:
        return None
    present = np.asarray(present, dtype=np.float64)
    return float(np.sqrt(np.mean(present**2))) if squared else float(np.mean(present))


def _mean_angle(degrees):
    present = [np.exp(1j * np.radians(d)) for d in degrees if d is not None]
    return float(np.degrees(np.angle(np.mean(present)))) if present else None
