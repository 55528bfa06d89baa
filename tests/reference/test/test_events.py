"""IEC 61000-4-30: Urms(1/2) (3.22, 5.4.1), dips and swells (5.4), interruptions (5.5), rapid voltage changes (5.11)."""

import numpy as np
import pytest

from metergate_reference import catalogue, events, signals
from metergate_reference.analysis import Analysis

HALF = 0.01


def found(name):
    vector = next(v for v in catalogue.vectors() if v.id == name)
    a = Analysis(vector.scene, signals.samples(vector.scene))
    return a, [(e.kind, e.start / 8000, None if e.end is None else (e.end - e.start) / 8000, e.extreme, e.channels)
               for e in a.events()]


def test_5_4_1_half_cycle_values_of_a_step_at_a_zero_crossing():
    """A value covers one cycle: the one across the step has the mean square of both levels."""
    a, _ = found("dip-70-10cycles")
    starts, _, values = a.half_cycles()
    t, u = starts / 8000, values[0]
    assert u[np.argmin(abs(t - 0.78))] == pytest.approx(230.0, rel=1e-3)
    assert u[np.argmin(abs(t - 0.79))] == pytest.approx(230 * np.sqrt((1 + 0.49) / 2), rel=2e-3)
    assert u[np.argmin(abs(t - 0.80))] == pytest.approx(161.0, rel=2e-3)
    assert np.diff(t) == pytest.approx(HALF, abs=1e-4)


def test_5_4_dip_of_ten_cycles():
    (kind, start, duration, extreme, channels), = found("dip-70-10cycles")[1]
    assert (kind, channels) == ("dip", (0,))
    assert start == pytest.approx(0.8, abs=HALF * 1.05) and duration == pytest.approx(0.2, abs=2 * HALF)
    assert extreme == pytest.approx(161.0, abs=0.002 * 230)


def test_5_4_dip_of_one_and_a_half_cycles_from_45_degrees():
    (kind, start, duration, extreme, _), = found("dip-70-45deg-1.5cycles")[1]
    assert start == pytest.approx(0.8025, abs=2 * HALF) and duration == pytest.approx(0.03, abs=2 * HALF)
    assert extreme == pytest.approx(161.0, abs=0.002 * 230)


def test_5_4_2_polyphase_dip_lasts_from_the_first_to_the_last():
    (kind, start, duration, extreme, channels), = found("dip-polyphase-staggered")[1]
    assert channels == (0, 1, 2) and start == pytest.approx(0.6, abs=2 * HALF)
    assert start + duration == pytest.approx(1.1, abs=2 * HALF) and extreme == pytest.approx(115.0, abs=0.5)


def test_5_4_2_hysteresis_edges():
    assert [e[0] for e in found("dip-hysteresis-hold")[1]] == ["dip"]
    assert [e[0] for e in found("dip-hysteresis-end")[1]] == ["dip", "dip"]
    assert found("dip-edge-none")[1] == []


@pytest.mark.parametrize("back, count", [(206.999, 1), (211.599, 1), (211.6, 2)])
def test_5_4_2_the_end_is_at_threshold_plus_hysteresis_exactly(back, count):
    u = np.array([[230.0, 230, 200, back, 200, 230, 230]])
    assert len(events.detect("dip", np.arange(7.0), u, 230.0)) == count


@pytest.mark.parametrize("level, count", [(206.999, 1), (207.0, 0)])
def test_5_4_2_below_means_below(level, count):
    u = np.array([[230.0, 230, level, 230, 230]])
    assert len(events.detect("dip", np.arange(5.0), u, 230.0)) == count


@pytest.mark.parametrize("level, back, count", [(253.0, 230, 0), (253.001, 230, 1), (260.0, 248.401, 1), (260, 248.4, 2)])
def test_5_4_3_swell_edges(level, back, count):
    u = np.array([[230.0, level, back, level, 230.0]])
    assert len(events.detect("swell", np.arange(5.0), u, 230.0)) == (count if back != 230 else min(2 * count, 2))


def test_5_4_3_swell_and_what_stays_below():
    (kind, start, duration, extreme, channels), = found("swell-115")[1]
    assert (kind, channels) == ("swell", (1,)) and duration == pytest.approx(0.16, abs=2 * HALF)
    assert extreme == pytest.approx(264.5, abs=0.46)


def test_5_5_interruption_needs_all_channels():
    kinds = {e[0]: e for e in found("interruption-3-phases")[1]}
    assert set(kinds) == {"dip", "interruption"}
    assert kinds["interruption"][1] == pytest.approx(0.7, abs=2 * HALF)
    assert kinds["interruption"][2] == pytest.approx(0.5, abs=2 * HALF)
    assert [e[0] for e in found("interruption-2-phases")[1]] == ["dip"]


def test_5_5_interruption_ends_with_the_first_channel_back():
    u = np.array([[230.0, 5, 5, 5, 230], [230, 5, 5, 20, 230], [230, 5, 5, 5, 230]])
    event, = events.detect("interruption", np.arange(5.0), u, 230.0)
    assert (event.start, event.end) == (1.0, 3.0)


def test_an_event_that_the_record_does_not_end_has_no_end():
    event, = events.detect("dip", np.arange(3.0), np.array([[230.0, 230, 100]]), 230.0)
    assert event.end is None


def test_5_11_step_of_six_percent_and_back():
    a, dips = found("rvc-6-percent")
    changes = a.rapid_changes()
    assert dips == [] and changes["U2"] == changes["U3"] == []
    down, back = changes["U1"]
    assert down.start / 8000 == pytest.approx(2.0, abs=2 * HALF) and back.start / 8000 == pytest.approx(4.0, abs=2 * HALF)
    for c in (down, back):
        assert c.du_max == pytest.approx(13.8, abs=0.1) and c.du_ss == pytest.approx(13.8, abs=0.1)


def test_5_11_below_threshold_and_into_a_dip_are_none():
    assert not any(found("rvc-4-percent-none")[0].rapid_changes().values())
    a, dips = found("rvc-becomes-dip")
    assert [e[0] for e in dips] == ["dip"] and not any(a.rapid_changes().values())


def test_5_11_2_the_hysteresis_holds_the_change():
    """Swinging 3 % about the mean: inside the threshold, outside its half. Not steady again until it calms."""
    swing = 230 * 0.94 + 230 * 0.03 * (-1.0) ** np.arange(150)
    u = np.concatenate([np.full(150, 230.0), swing, np.full(250, 230 * 0.94)])
    change, = events.rapid_changes(np.arange(len(u), dtype=float), u, 230.0)
    assert change.start == pytest.approx(151, abs=1) and change.end == pytest.approx(300, abs=1)
    assert change.du_max == pytest.approx(230 * 0.09, rel=5e-3) and change.du_ss == pytest.approx(13.8, rel=1e-2)
