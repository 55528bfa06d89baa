"""Quadrants, calculation methods, topologies (MET-001, MET-008 to MET-012, MET-033 to MET-035, MET-043)."""

import numpy as np
import pytest

from metergate_reference import energy, signals
from metergate_reference.analysis import Analysis

CASE = [(3000.0, 0.0, 3000.0), (2000.0, 0.0, 2000.0), (-1000.0, 0.0, 1000.0)]


@pytest.mark.parametrize("method, plus, minus", [(1, 5000, 1000), (2, 4000, 0), (3, 6000, 0)])
def test_met_033_034_035_plus3_plus2_minus1(method, plus, minus):
    got = energy.total(CASE, method)
    assert (got["a_plus"], got["a_minus"]) == (plus, minus)


@pytest.mark.parametrize("p, q, number", [(1, 1, 1), (-1, 1, 2), (-1, -1, 3), (1, -1, 4), (0, 0, 1), (0, -1, 4)])
def test_met_001_quadrants(p, q, number):
    assert energy.quadrant(p, q) == number
    got = energy.split(p, q, 2.0)
    assert got[f"r{number}"] == abs(q) and sum(got[f"r{k}"] for k in range(1, 5)) == abs(q)
    # MET-011: R+ = R1 + R2 belongs to positive Q, R- = R3 + R4 to negative.
    assert got["r1"] + got["r2"] == max(q, 0) and got["r3"] + got["r4"] == max(-q, 0)


@pytest.mark.parametrize("method", energy.METHODS)
def test_met_011_four_quadrants_by_method(method):
    parts = [(2000.0, 800.0), (-1500.0, 600.0), (-700.0, -900.0)]
    got = energy.total([(p, q, float(np.hypot(p, q))) for p, q in parts], method)
    want = {
        1: {"a_plus": 2000, "a_minus": 2200, "r1": 800, "r2": 600, "r3": 900},
        2: {"a_minus": 200, "r2": 500, "e_minus": np.hypot(200, 500)},
        3: {"a_plus": 4200, "r1": 2300},
    }[method]
    for kind, value in want.items():
        assert got[kind] == pytest.approx(value)
    assert got["r4"] == 0
    if method == 2:
        assert got["a_plus"] == got["r1"] == got["e_plus"] == 0
    if method == 3:
        assert got["a_minus"] == got["e_minus"] == 0


@pytest.mark.parametrize("method, gross_plus, gross_minus", [(1, 5000 + 3000, 1000 + 3000 * 3), (2, 0, 0), (3, 0, 0)])
def test_sign_change_inside_one_second(method, gross_plus, gross_minus):
    """L1 turns from +3 to -3 kW and L3 from -1 to +1 kW at 0.5 s; windows that hold the turn count their net."""
    scene = signals.loads(((3000.0, 0.0), (2000.0, 0.0), (-1000.0, 0.0)), seconds=2.0)
    channels = dict(scene.channels)
    for name in ("I1", "I3"):
        channels[name] = signals.Channel(channels[name].tones, envelope=signals.Envelope(((0.5, -1.0),)))
    scene = scene.with_(channels=channels)
    a = Analysis(scene, signals.samples(scene))
    rows = [energy.total(list(a.powers(v).values()), method) for v in a.values]
    for w, row in zip(a.windows, rows):
        after = w.start >= 0.5 * scene.rate - 1
        if after or w.end <= 0.5 * scene.rate + 1:
            want = {1: (3000, 3000) if after else (5000, 1000), 2: (0, 0) if after else (4000, 0), 3: (6000, 0)}[method]
            assert (row["a_plus"], row["a_minus"]) == pytest.approx(want, abs=0.05)
        elif method == 1:
            # Each phase's net of the straddling window; its share before the turn is whole cycles.
            share = (0.5 * scene.rate - w.start) / (w.end - w.start)
            l1, l3 = 3000 * (2 * share - 1), -1000 * (2 * share - 1)
            assert row["a_plus"] == pytest.approx(2000 + max(l1, 0) + max(l3, 0), rel=2e-3)
            assert row["a_minus"] == pytest.approx(max(-l1, 0) + max(-l3, 0), rel=5e-3, abs=5)
    net = sum((r["a_plus"] - r["a_minus"]) * (w.end - w.start) for w, r in zip(a.windows, rows)) / scene.rate
    if method != 3:
        begin, end = a.windows[0].start / scene.rate, a.windows[-1].end / scene.rate
        assert net == pytest.approx(4000 * (0.5 - begin) + 0 * (end - 0.5), rel=1e-3)


@pytest.mark.parametrize("phi, first, second", [
    (0.0, np.cos(np.pi / 6), np.cos(np.pi / 6)),            # PF 1: both elements alike
    (60.0, 0.0, np.cos(np.pi / 6)),                         # PF 0.5: one stands still
    (75.52248781, np.cos(np.radians(105.52248781)), np.cos(np.radians(45.52248781))),  # PF 0.25: one runs back
])
def test_aron_two_elements(phi, first, second):
    """MET-002: P = U12 I1 cos(30 + phi) + U32 I3 cos(30 - phi) = sqrt(3) U I cos(phi)."""
    scene = signals.aron(u=230.0, i=5.0, phi=phi)
    a = Analysis(scene, signals.samples(scene))
    row = a.means()["phase"]
    assert row["1"]["p"] == pytest.approx(1150 * first, abs=0.003)
    assert row["3"]["p"] == pytest.approx(1150 * second, abs=0.003)
    total = a.totals(2)
    p, q = np.sqrt(3) * 1150 * np.cos(np.radians(phi)), np.sqrt(3) * 1150 * np.sin(np.radians(phi))
    assert total["p"] == pytest.approx(p, rel=1e-5)
    assert total["q"] == pytest.approx(q, abs=0.01)
    assert total["s"] == pytest.approx(np.hypot(p, q), rel=1e-5)
    assert total["pf"] == pytest.approx(np.cos(np.radians(phi)), abs=1e-5)


def test_aron_knows_only_method_2():
    with pytest.raises(ValueError):
        energy.Registers("aron", 1)


@pytest.mark.parametrize("method, plus", [(1, 0.0), (2, 0.0), (3, 995.929)])
def test_one_phase_export(method, plus):
    got = energy.total([(-995.929, -575.0, 1150.0)], method)
    assert got["a_plus"] == pytest.approx(plus) and got["a_minus"] == pytest.approx(995.929 - plus)


def test_registers_are_power_times_time():
    registers = energy.Registers("three-phase", 1)
    for _ in range(50):
        registers.add({"1": CASE[0], "2": CASE[1], "3": CASE[2]}, 0.2)
    assert registers.total["a_plus"] == pytest.approx(50_000) and registers.total["a_minus"] == pytest.approx(10_000)
    assert registers.phase["3"]["a_minus"] == pytest.approx(10_000)


def test_met_043_threshold_gates_each_phase_and_kind():
    registers = energy.Registers("three-phase", 1, start=2.3)
    registers.add({"1": (2.5, 1.0, 2.7), "2": (2.2, 0.5, 2.26), "3": (1.0, -50.0, 50.01)}, 10.0)
    assert registers.total["a_plus"] == pytest.approx(25.0)
    assert registers.phase["1"]["r1"] == 0 and registers.phase["2"]["e_plus"] == 0
    # A purely reactive load still registers; with its active power gated it counts as import.
    assert registers.phase["3"]["r4"] == pytest.approx(500.0) and registers.phase["3"]["a_plus"] == 0
