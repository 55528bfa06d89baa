"""U, I, P, Q, S, power factors, angles and neutral against the analytic truth of the scene."""

import numpy as np
import pytest

from metergate_reference import catalogue, signals
from metergate_reference.analysis import Analysis

STEADY = [v for v in catalogue.vectors() if v.tier == "core" and "energy" in v.checks
          and v.scene.rate == 8000 and all(c.envelope.steady for c in v.scene.channels.values())]


@pytest.mark.parametrize("vector", STEADY, ids=lambda v: v.id)
def test_62053_window_values_against_truth(vector):
    scene = vector.scene
    a = Analysis(scene, signals.samples(scene))
    means, truth = a.means(), signals.truth(scene)
    assert means["f_hz"] == pytest.approx(truth["f"], abs=1e-5)
    lsb = 230.0 * scene.i_full_scale / 2**23
    noise = 4 * lsb * np.sqrt((1 / 12 + scene.noise_counts**2) / scene.count)
    for k, want in truth["phase"].items():
        got = means["phase"][k]
        assert got["u"] == pytest.approx(truth["rms"][f"U{k}"], rel=2e-6, abs=1e-4)
        assert got["i"] == pytest.approx(truth["rms"][f"I{k}"], rel=2e-6, abs=6e-5)
        assert got["p"] == pytest.approx(want["p"], abs=1e-6 * want["s"] + noise)
        assert got["q1"] == pytest.approx(want["q1"], abs=1e-6 * want["s"] + noise)
        if want["s"] > 1.0:
            assert got["s"] == pytest.approx(want["s"], rel=3e-6, abs=0.01)
            assert got["pf"] == pytest.approx(want["p"] / want["s"], abs=2e-5)
            assert got["dpf"] == pytest.approx(np.cos(np.arctan2(want["q1"], want["p1"])), abs=2e-5)
            apart = got["phi"] - np.degrees(np.arctan2(want["q1"], want["p1"]))
            assert (apart + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=0.02)


def test_angles_between_voltages():
    a = Analysis(signals.grid(), signals.samples(signals.grid()))
    angle = a.means()["angle"]
    assert [angle[k] for k in "123"] == pytest.approx([0.0, -120.0, 120.0], abs=1e-5)


def test_62053_24_reactive_power_ignores_harmonics_but_q_total_does_not():
    vector = next(v for v in catalogue.vectors() if v.id == "harmonics-fifth")
    got = Analysis(vector.scene, signals.samples(vector.scene)).means()["phase"]["1"]
    assert got["q1"] == pytest.approx(2300 * 0.5, rel=1e-6)
    assert got["q_total"] == pytest.approx(np.sqrt(got["s"] ** 2 - got["p"] ** 2), rel=1e-9)
    assert got["q_total"] > 1.2 * got["q1"]


def test_dc_is_reported_and_not_removed():
    vector = next(v for v in catalogue.vectors() if v.id == "half-wave")
    got = Analysis(vector.scene, signals.samples(vector.scene)).means()["phase"]["1"]
    assert got["i_dc"] == pytest.approx(20 / np.pi, rel=1e-5)
    assert got["i"] == pytest.approx(10.0, rel=1e-4)


def test_neutral_measured_computed_and_residual():
    vector = next(v for v in catalogue.vectors() if v.id == "neutral-current-wrong")
    got = Analysis(vector.scene, signals.samples(vector.scene)).means()
    # 10 A at 0 and 5 A at -120 degrees: |10 + 5 e^-j120| = sqrt(75); the wrong neutral adds 3 A at 100 degrees.
    total = 10 + 5 * np.exp(-2j * np.pi / 3)
    assert got["i_n_computed"] == pytest.approx(np.sqrt(75), rel=1e-5)
    assert got["i_n"] == pytest.approx(3.0, rel=1e-5)
    assert got["i_residual"] == pytest.approx(abs(total + 3 * np.exp(1j * np.radians(100))), rel=1e-5)


def test_absent_power_factor_is_not_zero():
    vector = next(v for v in catalogue.vectors() if v.id == "phase-loss-L2")
    got = Analysis(vector.scene, signals.samples(vector.scene)).means()["phase"]["2"]
    assert got["pf"] is None and got["phi"] is None and got["p"] == pytest.approx(0.0, abs=1e-6)


def test_reference_channel_moves_when_l1_is_dead():
    """IEC 61000-4-30, 4.3."""
    vector = next(v for v in catalogue.vectors() if v.id == "only-L3")
    a = Analysis(vector.scene, signals.samples(vector.scene))
    assert a.reference == "U3" and a.frequency() == pytest.approx(50.0, abs=1e-5)
