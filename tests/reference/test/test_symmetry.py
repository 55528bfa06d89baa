"""IEC 61000-4-30, 5.7: unbalance; rotation; neutral displacement."""

import numpy as np
import pytest

from metergate_reference import symmetry
from metergate_reference import catalogue, signals
from metergate_reference.analysis import Analysis, line_unbalance


def phasor(r, deg):
    return r * np.exp(1j * np.radians(deg))


def system(zero, positive, negative):
    a = np.exp(2j * np.pi / 3)
    return (zero + positive + negative, zero + a**2 * positive + a * negative, zero + a * positive + a**2 * negative)


def test_5_7_components_are_recovered():
    parts = phasor(5, 40), phasor(230, 10), phasor(7, -80)
    got = symmetry.components(*system(*parts))
    assert np.allclose(got, parts)
    u2, u0 = symmetry.unbalance(*system(*parts))
    assert (u2, u0) == pytest.approx((700 / 230, 500 / 230))


@pytest.mark.parametrize("factors, want", [((0.73, 0.80, 0.87), 5.05), ((1.52, 1.40, 1.28), 4.95)])
def test_5_7_magnitude_cases(factors, want):
    """Magnitudes only, angles exact: u2 = u0 as published for the unbalance tests of the test standard."""
    u = [phasor(230 * f, d) for f, d in zip(factors, (0, -120, 120))]
    u2, u0 = symmetry.unbalance(*u)
    assert u2 == pytest.approx(want, abs=0.005) and u0 == pytest.approx(want, abs=0.005)


def test_5_7_1_line_voltages_give_the_same_u2():
    u1, u2, u3 = system(phasor(9, 0), phasor(230, 0), phasor(11, 60))
    got = symmetry.unbalance_from_lines(abs(u1 - u2), abs(u2 - u3), abs(u3 - u1))
    assert got == pytest.approx(100 * 11 / 230, rel=1e-9)


def test_5_7_through_the_chain():
    vector = next(v for v in catalogue.vectors() if v.id == "unbalance-angles")
    means = Analysis(vector.scene, signals.samples(vector.scene)).means()
    want = symmetry.unbalance(*(signals.truth(vector.scene)["fundamental"][f"U{k}"] for k in "123"))
    assert (means["u2"], means["u0"]) == pytest.approx(want, abs=1e-5)


def test_5_7_aron_from_two_line_voltages():
    scene = signals.aron()
    assert line_unbalance(Analysis(scene, signals.samples(scene))) < 1e-3


@pytest.mark.parametrize("angles, want", [((0, -120, 120), "L1-L2-L3"), ((0, 120, -120), "L1-L3-L2")])
def test_rotation(angles, want):
    assert symmetry.rotation(*(phasor(230, d) for d in angles)) == want


def test_rotation_with_a_phase_missing_and_with_only_one():
    assert symmetry.rotation(phasor(230, 0), 0, phasor(230, 120)) == "L1-L2-L3"
    assert symmetry.rotation(0, 0, phasor(230, 120)) is None


def test_reversed_rotation_has_no_unbalance_value():
    assert symmetry.unbalance(*(phasor(230, d) for d in (0, 120, -120))) == (None, None)


def test_pq_025_neutral_displacement_is_the_mean_phasor():
    moved = [phasor(230, d) - phasor(60, 25) for d in (0, -120, 120)]
    assert symmetry.neutral_displacement(*moved) == pytest.approx(60.0)
    vector = next(v for v in catalogue.vectors() if v.id == "neutral-displaced-60V")
    means = Analysis(vector.scene, signals.samples(vector.scene)).means()
    assert means["u_displacement"] == pytest.approx(60.0, abs=1e-4)
