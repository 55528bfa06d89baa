"""The golden vectors: each a scene, the clauses it stands for, and what is expected of it.

A vector's samples are never stored: they follow from its scene bit for bit. What is committed is their SHA-256 and the
expected values (see ``generate.py``).
"""

from dataclasses import dataclass

import numpy as np

from . import comtrade, signals
from .signals import Channel, Envelope, Scene, Tone, aron, grid, loads

PF = {"1": 0.0, "0.5i": 60.0, "0.8c": -36.86989765, "0.25i": 75.52248781, "-1": 180.0}
"""Phase angles of the accuracy table, degrees."""


@dataclass(frozen=True)
class Vector:
    """``checks`` names the parts of the expectation; ``tier`` core, long (flicker) or recorded (needs the records)."""

    id: str
    what: str
    clauses: tuple
    scene: Scene
    checks: tuple = ("means", "energy")
    methods: tuple = (1,)
    start_threshold: float = 0.0
    ticks: tuple = ()
    frame_channels: tuple = signals.CHANNELS
    tier: str = "core"
    record: str | None = None


def _accuracy():
    # 10 mA is 420 counts and 50 Hz exactly 160 samples: without a little noise the rounding would repeat in every
    # cycle and never average out. One count is far less than a real converter has.
    for i, seconds, noise in ((0.01, 10.0, 1.0), (10.0, 2.0, 0.0), (100.0, 2.0, 0.0)):
        for name, phi in PF.items():
            yield Vector(f"accuracy-{i:g}A-pf{name}", f"symmetric load, {i:g} A, PF {name}",
                         ("IEC 62053-22", "EN 50470-3"), grid(i=i, phi=phi, seconds=seconds, noise_counts=noise))
    for f in (47.5, 49.0, 51.0, 52.5):
        yield Vector(f"frequency-{f:g}Hz-pf0.5i", f"influence of frequency, {f:g} Hz, PF 0.5i",
                     ("IEC 62053-22 influence", "IEC 62053-24"), grid(phi=60.0, frequency=((0.0, f),)))
    yield Vector("frequency-60Hz-pf0.5i", "60 Hz grid, 12-cycle windows", ("IEC 61000-4-30 4.4", "MET-003"),
                 grid(phi=60.0, f_nominal=60, frequency=((0.0, 60.0),)))
    for factor in (0.8, 1.15):
        yield Vector(f"voltage-{factor:g}Un-pf0.5i", f"influence of voltage, {factor:g} Un",
                     ("IEC 62053-22 influence",), grid(u=230.0 * factor, phi=60.0))
    for rate in (16000, 32000):
        yield Vector(f"rate-{rate}", f"PF 0.8c at {rate} S/s", ("MET-001",),
                     grid(phi=PF["0.8c"], rate=rate, seconds=1.0))


def _topologies():
    three = ((3000.0, 0.0), (2000.0, 0.0), (-1000.0, 0.0))
    yield Vector("methods-plus3-plus2-minus1", "phases +3, +2, -1 kW: A+ 5/4/6, A- 1/0/0 by method 1/2/3",
                 ("MET-033", "MET-034", "MET-035"), loads(three), methods=(1, 2, 3))
    yield Vector("methods-four-quadrants", "one phase in each of three quadrants with reactive power",
                 ("MET-001", "MET-011", "MET-033", "MET-034", "MET-035"),
                 loads(((2000.0, 800.0), (-1500.0, 600.0), (-700.0, -900.0))), methods=(1, 2, 3))
    yield Vector("methods-capacitive", "import capacitive beside export inductive", ("MET-011", "MET-033"),
                 loads(((2000.0, -800.0), (-500.0, -600.0), (100.0, 1500.0))), methods=(1, 2, 3))
    # The power of L1 turns round at 0.5 s, an integer number of cycles: method 1 splits, the net stays exact.
    turn = loads(((3000.0, 0.0), (2000.0, 0.0), (-1000.0, 0.0)), seconds=2.0)
    channels = dict(turn.channels)
    for name in ("I1", "I3"):
        channels[name] = Channel(channels[name].tones, envelope=Envelope(((0.5, -1.0),)))
    yield Vector("methods-sign-change", "L1 and L3 change sign at 0.5 s, inside one second",
                 ("MET-033", "MET-034", "MET-035"), turn.with_(channels=channels), ("windows",), (1, 2, 3))
    for name, phi in (("1", 0.0), ("0.5i", 60.0), ("0.25i", PF["0.25i"]), ("0.5c", -60.0)):
        yield Vector(f"aron-pf{name}", f"two elements, PF {name}: at 0.5 one element stands still, below it turns back",
                     ("MET-002", "MET-034"), aron(u=230.0, i=5.0, phi=phi), ("means", "energy", "line_unbalance"), (2,))
    one = Scene({"U1": Channel((Tone(230.0),)), "I1": Channel((Tone(20.0, -30.0),))}, topology="one-phase")
    yield Vector("one-phase-pf0.866i", "one-phase meter", ("MET-002",), one, methods=(1, 2, 3))
    back = Scene({"U1": Channel((Tone(230.0),)), "I1": Channel((Tone(5.0, 150.0),))}, topology="one-phase")
    yield Vector("one-phase-export", "one-phase meter, export", ("MET-035",), back, methods=(1, 2, 3))
    small = loads(((2.5, 0.0), (2.1, 0.0), (0.0, 0.0)), noise_counts=1.0)
    yield Vector("threshold-2.3W", "2.5 W registers, 2.1 W and no load do not", ("MET-043",), small,
                 start_threshold=2.3)


def _harmonics():
    orders = {2: 2.0, 3: 5.0, 4: 1.0, 5: 6.0, 7: 5.0, 9: 1.5, 11: 3.5, 13: 3.0, 15: 0.5, 17: 2.0, 19: 1.5, 23: 1.5,
              25: 1.5, 40: 0.5, 50: 0.5}
    base = grid(phi=30.0)

    def with_tones(u_tones, i_tones, **scene):
        channels = dict(base.channels)
        for k, shift in zip("123", (0.0, -120.0, 120.0)):
            u = tuple(Tone(r, h * shift + d, h) for h, r, d in u_tones)
            i = tuple(Tone(r, h * (shift - 30.0) + d, h) for h, r, d in i_tones)
            channels[f"U{k}"] = Channel((Tone(230.0, shift),) + u)
            channels[f"I{k}"] = Channel((Tone(10.0, shift - 30.0),) + i)
        channels["IN"] = Channel(tuple(Tone(3 * r, d + 180.0 - h * 30.0, h) for h, r, d in i_tones if h % 3 == 0))
        return base.with_(channels=channels, **scene)

    yield Vector("harmonics-en50160", "every limit of EN 50160 at once, orders to 50",
                 ("IEC 61000-4-7 5.5", "IEC 61000-4-30 5.8", "PQ-019"),
                 with_tones([(h, 2.3 * p, 10.0 * h) for h, p in orders.items()],
                            [(h, 0.2 * p, 40.0) for h, p in orders.items()]), ("means", "energy", "spectra"))
    yield Vector("harmonics-en50160-49.3Hz", "the same off nominal frequency",
                 ("IEC 61000-4-7 5.5", "IEC 61000-4-30 5.8"),
                 with_tones([(h, 2.3 * p, 10.0 * h) for h, p in orders.items()],
                            [(h, 0.2 * p, 40.0) for h, p in orders.items()], frequency=((0.0, 49.3),)),
                 ("means", "spectra"))
    yield Vector("harmonics-fifth", "U5 10 %, I5 40 %, in phase: the harmonic influence test",
                 ("IEC 62053-21 influence", "IEC 62053-24"), with_tones([(5, 23.0, 0.0)], [(5, 4.0, 0.0)]))
    yield Vector("interharmonics", "lines at orders 2.5, 3.1 and 7.4", ("IEC 61000-4-7 A", "IEC 61000-4-30 5.9"),
                 with_tones([(2.5, 2.3, 0.0), (3.1, 2.3, 0.0), (7.4, 4.6, 0.0)], []), ("means", "spectra"))
    channels = dict(base.channels)
    for k, shift in zip("123", (0.0, -120.0, 120.0)):
        tones, dc = signals.half_wave(20.0, shift)
        channels[f"I{k}"] = Channel(tones, dc)
    del channels["IN"]
    yield Vector("half-wave", "half-wave rectified current, 20 A peak: DC and even harmonics",
                 ("IEC 62053-21 influence", "EN 50470-3"), base.with_(channels=channels))
    channels = dict(base.channels)
    for k, shift in zip("123", (0.0, -120.0, 120.0)):
        channels[f"I{k}"] = Channel(signals.phase_fired(20.0, shift))
    del channels["IN"]
    yield Vector("phase-fired", "conduction from 90 degrees, 20 A peak", ("IEC 62053-21 influence",),
                 base.with_(channels=channels), ("means", "energy", "spectra"))
    channels = dict(grid(phi=0.0).channels)
    bursts = tuple((0.04 * n, 1.0 if n % 2 == 0 else 0.0) for n in range(100))
    for k in "123":
        c = channels[f"I{k}"]
        channels[f"I{k}"] = Channel(c.tones, envelope=Envelope(bursts))
    yield Vector("bursts-2-on-2-off", "two cycles on, two off: sub-harmonics", ("IEC 62053-21 influence",),
                 grid(phi=0.0, seconds=4.0).with_(channels=channels))
    tones = (Tone(2.3, 0.0, hz=2500.0), Tone(1.15, 90.0, hz=5130.0), Tone(0.69, 0.0, hz=8660.0))
    high = Scene({"U1": Channel((Tone(230.0),) + tones), "I1": Channel((Tone(10.0),))}, rate=32000, seconds=1.0,
                 topology="one-phase")
    yield Vector("bands-2-9-kHz", "emission at 2.5, 5.13 and 8.66 kHz", ("IEC 61000-4-7 B",), high, ("means", "bands"))
    ripple = Scene({"U1": Channel((Tone(230.0), Tone(4.6, 0.0, hz=316.7))), "I1": Channel((Tone(10.0),))},
                   topology="one-phase")
    yield Vector("signalling-316.7Hz", "mains signalling between two bins", ("IEC 61000-4-30 5.10",), ripple,
                 ("means", "signalling"))


def _symmetry():
    def phasors(u, currents=None):
        channels = {}
        for k, (r, deg) in zip("123", u):
            channels[f"U{k}"] = Channel((Tone(r, deg),) if r else ())
            i = 10.0 if currents is None else currents[int(k) - 1]
            channels[f"I{k}"] = Channel((Tone(i, deg),) if i else ())
        return Scene(channels)

    yield Vector("unbalance-73-80-87", "magnitudes 73, 80, 87 % Udin", ("IEC 61000-4-30 5.7",),
                 phasors(((167.9, 0.0), (184.0, -120.0), (200.1, 120.0))))
    yield Vector("unbalance-angles", "magnitudes and angles: u2 and u0 of several per cent", ("IEC 61000-4-30 5.7",),
                 phasors(((230.0, 0.0), (207.0, -122.0), (241.5, 117.0))))
    yield Vector("sequence-reversed", "L1-L3-L2", ("IEC 62053-21 influence", "MET-053"),
                 phasors(((230.0, 0.0), (230.0, 120.0), (230.0, -120.0))))
    yield Vector("phase-loss-L2", "L2 missing", ("MET-002", "MET-053"),
                 phasors(((230.0, 0.0), (0.0, 0.0), (230.0, 120.0)), (10.0, 0.0, 10.0)))
    yield Vector("only-L3", "only L3 live: the reference channel moves", ("MET-002", "IEC 61000-4-30 4.3"),
                 phasors(((0.0, 0.0), (0.0, 0.0), (230.0, 120.0)), (0.0, 0.0, 10.0)))
    # Neutral point moved by 60 V towards L1: the three phase voltages stay on their triangle.
    moved = [np.exp(1j * np.radians(d)) * 230.0 - 60.0 for d in (0.0, -120.0, 120.0)]
    yield Vector("neutral-displaced-60V", "broken neutral, displacement 60 V", ("PQ-025",),
                 phasors([(round(float(abs(z)), 9), round(float(np.degrees(np.angle(z))), 9)) for z in moved]))
    leak = dict(loads(((2300.0, 0.0), (1150.0, 0.0), (0.0, 0.0))).channels)
    leak["IN"] = Channel((Tone(3.0, 100.0),))
    yield Vector("neutral-current-wrong", "measured neutral current does not close the sum", ("MET-021",),
                 Scene(leak))


def _voltage(steps_by_phase, **scene):
    channels = {}
    for k, shift in zip("123", (0.0, -120.0, 120.0)):
        channels[f"U{k}"] = Channel((Tone(230.0, shift),), envelope=Envelope(tuple(steps_by_phase.get(k, ()))))
        channels[f"I{k}"] = Channel((Tone(5.0, shift),))
    return Scene(channels, **scene)


def _events():
    checks = ("events", "half_cycles")
    yield Vector("dip-70-10cycles", "L1 to 70 % for ten cycles from a zero crossing", ("IEC 61000-4-30 5.4",),
                 _voltage({"1": ((0.8, 0.7), (1.0, 1.0))}), checks)
    yield Vector("dip-70-45deg-1.5cycles", "L1 to 70 % for 1.5 cycles from 45 degrees", ("IEC 61000-4-30 5.4",),
                 _voltage({"1": ((0.8025, 0.7), (0.8325, 1.0))}), checks)
    yield Vector("dip-polyphase-staggered", "L1, then L2, then L3: one event from first to last",
                 ("IEC 61000-4-30 5.4.2",),
                 _voltage({"1": ((0.6, 0.6), (0.8, 1.0)), "2": ((0.7, 0.5), (0.9, 1.0)), "3": ((0.85, 0.8), (1.1, 1.0))}),
                 checks)
    yield Vector("dip-hysteresis-hold", "back to 91 %: inside the hysteresis, the dip goes on",
                 ("IEC 61000-4-30 5.4.2",), _voltage({"1": ((0.6, 0.85), (0.8, 0.91), (1.0, 0.85), (1.2, 1.0))}), checks)
    yield Vector("dip-hysteresis-end", "back to 92.5 %: above the hysteresis, two dips",
                 ("IEC 61000-4-30 5.4.2",), _voltage({"1": ((0.6, 0.85), (0.8, 0.925), (1.0, 0.85), (1.2, 1.0))}), checks)
    yield Vector("dip-edge-none", "90.2 %: no dip", ("IEC 61000-4-30 5.4.2",),
                 _voltage({"1": ((0.6, 0.902), (1.2, 1.0))}), checks)
    yield Vector("swell-115", "L2 to 115 % for eight cycles, L3 to 109 % for none", ("IEC 61000-4-30 5.4.3",),
                 _voltage({"2": ((0.7, 1.15), (0.86, 1.0)), "3": ((0.7, 1.09), (0.86, 1.0))}), checks)
    yield Vector("interruption-3-phases", "all phases to 2 % for 0.5 s: a dip that holds an interruption",
                 ("IEC 61000-4-30 5.5",), _voltage({k: ((0.7, 0.02), (1.2, 1.0)) for k in "123"}), checks)
    yield Vector("interruption-2-phases", "two phases gone: a dip, no interruption", ("IEC 61000-4-30 5.5.2",),
                 _voltage({k: ((0.7, 0.0), (1.2, 1.0)) for k in "23"}), checks)
    yield Vector("rvc-6-percent", "step of 6 % down on L1, back after 2 s", ("IEC 61000-4-30 5.11", "PQ-017"),
                 _voltage({"1": ((2.0, 0.94), (4.0, 1.0))}, seconds=7.0), ("events", "rvc"))
    yield Vector("rvc-4-percent-none", "step of 4 %: below the threshold", ("IEC 61000-4-30 5.11",),
                 _voltage({"1": ((2.0, 0.96),)}, seconds=4.5), ("events", "rvc"))
    yield Vector("rvc-becomes-dip", "step of 12 %: a dip, not a rapid change", ("IEC 61000-4-30 5.11.2",),
                 _voltage({"1": ((2.0, 0.88), (3.0, 1.0))}, seconds=5.5), ("events", "rvc"))


def _time():
    yield Vector("frequency-10s", "49.87 Hz for 10 s, then a ramp to 50.4 Hz", ("IEC 61000-4-30 5.1", "PQ-002"),
                 _single(seconds=20.2, frequency=((0.0, 49.87), (10.0, 49.87), (20.0, 50.4))), ("frequency10",))
    yield Vector("frequency-10s-harmonics", "50.02 Hz with 10 % third and 8 % fifth", ("IEC 61000-4-30 5.1.1",),
                 _single((Tone(23.0, 180.0, 3), Tone(18.4, 0.0, 5)), seconds=10.2, frequency=((0.0, 50.02),)),
                 ("frequency10",))
    tick = 3.97
    scene = _voltage({"1": ((tick, 0.95),), "2": ((tick, 1.03),)}, seconds=10.0, frequency=((0.0, 49.9),),
                     start_utc_us=1_767_225_600_000_000 + int((600 - tick) * 1e6))
    yield Vector("aggregation-tick", "the 10-minute tick at 3.97 s inside a window: overlap 1 and 2",
                 ("IEC 61000-4-30 4.5.2", "IEC 61000-4-30 4.5.3"), scene, ("windows", "aggregates"), ticks=(tick,))
    flagged = _voltage({"3": ((5.0, 0.7), (5.1, 1.0))}, seconds=10.0,
                       start_utc_us=1_767_225_600_000_000 + int((600 - tick) * 1e6))
    yield Vector("aggregation-flagged", "a dip at 5.0 s flags its windows and what is made of them",
                 ("IEC 61000-4-30 4.7",), flagged, ("events", "aggregates"), ticks=(tick,))


def _single(extra=(), envelope=Envelope(), **scene):
    return Scene({"U1": Channel((Tone(230.0),) + tuple(extra), envelope=envelope),
                  "I1": Channel((Tone(5.0),))}, topology="one-phase", **scene)


def _bad_input():
    yield Vector("clipped-I1", "current of 180 A rms into a range of 200 A peak", ("MET-053",),
                 _single().with_(channels={"U1": Channel((Tone(230.0),)), "I1": Channel((Tone(180.0),))}),
                 ("clipped",))
    stuck = dict(grid().channels)
    stuck["I2"] = Channel((), dc=12.0)
    yield Vector("stuck-I2", "I2 stands at 12 A DC", ("MET-053",), grid().with_(channels=stuck), ("means",))
    swapped = dict(grid(phi=30.0).channels)
    swapped["I1"], swapped["I2"] = swapped["I2"], swapped["I1"]
    yield Vector("swapped-I1-I2", "currents of L1 and L2 exchanged", ("MET-053",),
                 grid().with_(channels=swapped), ("means",))


FLICKER = ((1, 2.715), (2, 2.191), (7, 1.450), (39, 0.894), (110, 0.722), (1620, 0.407))
"""Rectangular voltage changes per minute and dV/V in % for Pst = 1 (IEC 61000-4-15 ed. 2, table 5, 230 V 50 Hz)."""


def _flicker():
    for cpm, depth in FLICKER:
        scene = _single(envelope=Envelope(modulation=("rect", cpm / 120, depth / 100)), seconds=660.0)
        yield Vector(f"flicker-{cpm}cpm", f"{cpm} rectangular changes a minute of {depth} %: Pst 1 over the last 600 s",
                     ("IEC 61000-4-15 6.2 table 5",), scene, ("flicker",), frame_channels=("U1",), tier="long")


def _recorded():
    yield Vector("record-1", "earth faults: dips and swells on different phases, varying sample rate",
                 ("IEC 61000-4-30 5.4",), _silent(2.0), ("means", "windows", "events"), tier="recorded", record="1.cfg")
    yield Vector("record-2", "110 kV power swing: repeated dips without a steady reference", ("IEC 61000-4-30 5.4",),
                 _silent(16.0), ("windows", "events", "rvc"), tier="recorded", record="2.cfg")
    yield Vector("record-3", "loss of phase B, then of A and C", ("IEC 61000-4-30 5.5",), _silent(1.5),
                 ("windows", "events"), tier="recorded", record="3.cfg")
    yield Vector("record-4", "fundamental at 78 to 84 Hz: out of the measuring range", ("IEC 61000-4-30 5.1.2",),
                 _silent(3.8, topology="aron"), ("out_of_range",), tier="recorded", record="4.cfg")


def _silent(seconds, **scene):
    return Scene({}, seconds=seconds, **scene)


# Index of each channel in its record and the factor to the meter's terminals (230 V nominal, 100 A range).
MAPS = {
    "1.cfg": {"U1": (0, 230 / 57.735), "U2": (1, 230 / 57.735), "U3": (2, 230 / 57.735)},
    "2.cfg": {"U1": (0, 230 / 63.508), "U2": (1, 230 / 63.508), "U3": (2, 230 / 63.508),
              "I1": (11, 0.02), "I2": (12, 0.02), "I3": (13, 0.02)},
    "3.cfg": {"U1": (4, 230 / 57.735), "U2": (5, 230 / 57.735), "U3": (6, 230 / 57.735),
              "I1": (0, 1.0), "I2": (1, 1.0), "I3": (2, 1.0)},
    "4.cfg": {"U1": (3, -230 / 3300), "U3": (4, 230 / 3300), "I1": (0, 0.05), "I3": (2, 0.05)},
}


def recorded(vector, folder):
    """(scene, counts) of a recorded vector from the folder with the COMTRADE files."""
    stem = vector.record.split(".")[0]
    path = next(p for p in folder.iterdir() if p.stem == stem and p.suffix.lower() == ".cfg")
    record = comtrade.load(path)
    physical = {}
    for name, (index, factor) in MAPS[vector.record].items():
        _, values = record.resampled(index, vector.scene.rate)
        physical[name] = values * factor
    n = min(min(len(v) for v in physical.values()), vector.scene.count)
    scene = vector.scene.with_(channels={k: Channel() for k in physical}, seconds=n / vector.scene.rate)
    return scene, signals.quantise(scene, {k: v[:n] for k, v in physical.items()})


def vectors():
    """All golden vectors, in the order of the manifest."""
    parts = (_accuracy(), _topologies(), _harmonics(), _symmetry(), _events(), _time(), _bad_input(), _flicker(),
             _recorded())
    return [v for part in parts for v in part]
