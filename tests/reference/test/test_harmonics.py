"""IEC 61000-4-7 and IEC 61000-4-30, 5.8 to 5.10."""

import numpy as np
import pytest

from metergate_reference import catalogue, harmonics, signals
from metergate_reference.analysis import Analysis


def window(tones, cycles=10, points=2048):
    """[(order, rms, degrees)] over one window."""
    t = np.arange(points) * cycles / points
    return sum(r * np.sqrt(2) * np.sin(2 * np.pi * h * t + np.radians(d)) for h, r, d in tones)


@pytest.mark.parametrize("cycles", [10, 12])
@pytest.mark.parametrize("order", [1, 2, 25, 40, 50])
def test_4_7_5_lines(order, cycles):
    c = harmonics.spectrum(window([(1, 230.0, 0.0), (order, 5.0, 77.0)] if order > 1 else [(1, 5.0, 77.0)], cycles))
    assert harmonics.harmonic(c, cycles, order) == pytest.approx(5.0, rel=1e-12)
    assert np.degrees(np.angle(c[order * cycles])) == pytest.approx(77.0, abs=1e-9)


def test_4_7_formula_8_group_halves_the_edge_bins():
    cycles = 10
    c = harmonics.spectrum(window([(5, 3.0, 0.0), (5.5, 2.0, 0.0), (4.5, 1.0, 0.0), (5.4, 0.5, 0.0), (5.6, 9.0, 0.0)]))
    want = np.sqrt(9 + 4 / 2 + 1 / 2 + 0.25)
    assert harmonics.group(c, cycles, 5) == pytest.approx(want, rel=1e-9)


def test_4_7_groups_at_60_hz_have_eleven_inner_bins():
    tones = [(5, 3.0, 0.0), (5.5, 2.0, 0.0), (5 + 5 / 12, 1.0, 0.0), (5 + 7 / 12, 9.0, 0.0)]
    assert harmonics.group(harmonics.spectrum(window(tones, 12)), 12, 5) == pytest.approx(np.sqrt(9 + 2 + 1), rel=1e-9)


def test_4_7_formula_9_subgroup_takes_one_neighbour_each_side():
    c = harmonics.spectrum(window([(5, 3.0, 0.0), (4.9, 1.0, 0.0), (5.1, 2.0, 0.0), (5.2, 9.0, 0.0), (4.8, 9.0, 0.0)]))
    assert harmonics.subgroup(c, 10, 5) == pytest.approx(np.sqrt(14), rel=1e-9)


def test_4_7_annex_a_interharmonics():
    tones = [(2.1, 1.0, 0.0), (2.2, 2.0, 0.0), (2.5, 3.0, 0.0), (2.8, 4.0, 0.0), (2.9, 5.0, 0.0), (3.0, 50.0, 0.0)]
    c = harmonics.spectrum(window(tones))
    assert harmonics.interharmonic_subgroup(c, 10, 2) == pytest.approx(np.sqrt(4 + 9 + 16), rel=1e-9)
    assert harmonics.interharmonic_group(c, 10, 2) == pytest.approx(np.sqrt(1 + 4 + 9 + 16 + 25), rel=1e-9)


def test_4_30_5_8_thd_ends_at_order_40():
    c = harmonics.spectrum(window([(1, 100.0, 0.0), (3, 3.0, 0.0), (40, 4.0, 0.0), (41, 20.0, 0.0)]))
    assert harmonics.thd(c, 10) == pytest.approx(0.05, rel=1e-9)
    assert harmonics.thds(c, 10) == pytest.approx(0.05, rel=1e-9)
    assert harmonics.thdg(c, 10) == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize("name", ["harmonics-en50160", "harmonics-en50160-49.3Hz"])
def test_class_i_through_the_whole_chain(name):
    """Every order to 50, at and off nominal frequency: 0.01 % of Unom."""
    vector = next(v for v in catalogue.vectors() if v.id == name)
    spectra = Analysis(vector.scene, signals.samples(vector.scene)).spectra()
    for channel in ("U1", "I1"):
        tones = {t.order: t.rms for t in vector.scene.channels[channel].tones}
        limit = 1e-4 * tones[1.0]
        for kind in ("line", "subgroup", "group"):
            got = spectra[channel][kind]
            assert all(abs(got[h - 1] - tones.get(float(h), 0.0)) < limit for h in range(1, 51)), (channel, kind)


def test_4_30_5_9_interharmonics_through_the_chain():
    vector = next(v for v in catalogue.vectors() if v.id == "interharmonics")
    u = Analysis(vector.scene, signals.samples(vector.scene)).spectra()["U1"]
    assert u["inter_subgroup"][1] == pytest.approx(2.3, abs=0.01)      # order 2.5
    assert u["subgroup"][2] == pytest.approx(2.3, abs=0.01)            # order 3.1 lies in the subgroup of 3
    assert u["inter_subgroup"][6] == pytest.approx(4.6, abs=0.01)      # order 7.4
    assert u["line"][2] == pytest.approx(0.0, abs=0.01)


def test_4_30_5_10_signalling_voltage_between_bins():
    """Four bins around 316.7 Hz hold most of a line that falls between two of them."""
    c = harmonics.spectrum(window([(1, 230.0, 0.0), (316.7 / 50, 4.6, 0.0)]))
    assert 0.94 * 4.6 < harmonics.signalling(c, 10, 316.7, 50.0) < 4.61
    c = harmonics.spectrum(window([(1, 230.0, 0.0), (6.3, 4.6, 0.0)]))
    assert harmonics.signalling(c, 10, 315.0, 50.0) == pytest.approx(4.6, rel=1e-9)


def test_4_7_annex_b_bands():
    vector = next(v for v in catalogue.vectors() if v.id == "bands-2-9-kHz")
    x = signals.render(vector.scene)["U1"]
    bands = harmonics.bands_2_9_khz(x, vector.scene.rate)
    assert len(bands) == 35
    assert bands[2500] == pytest.approx(2.3, rel=1e-4)
    assert bands[5100] == pytest.approx(1.15, rel=1e-4)
    assert bands[8700] == pytest.approx(0.69, rel=1e-4)
    assert sum(v > 1e-3 for v in bands.values()) == 3
