"""IEC 61000-4-30: frequency (5.1), basic windows (4.4), aggregation (4.5), flagging (4.7)."""

import numpy as np
import pytest

from metergate_reference import phase, signals, windows
from metergate_reference.signals import Channel, Envelope, Scene, Tone

RATE = 1600


def steady_track(f, seconds, rate=RATE):
    """A track without a signal: for windows over minutes and hours."""
    n = int(seconds * rate)
    return phase.Track(np.arange(n) * (f / rate), np.ones(n, bool), np.full(n, 230.0), rate)


@pytest.mark.parametrize("f", [42.5, 45.0, 49.0, 50.0, 50.37, 55.0, 57.5])
def test_5_1_frequency_over_the_range(f):
    scene = Scene({"U1": Channel((Tone(230.0, 33.0),))}, seconds=1.5, frequency=((0.0, f),))
    t = phase.track(signals.render(scene)["U1"], scene.rate, 50)
    assert t.frequency(1000, 11000) == pytest.approx(f, abs=1e-6) and phase.in_range(f, 50)


def test_5_1_1_harmonics_interharmonics_dc_and_noise_do_not_move_it():
    tones = (Tone(230.0), Tone(23.0, 180.0, 3), Tone(18.4, 10.0, 5), Tone(4.6, 0.0, hz=83.0))
    scene = Scene({"U1": Channel(tones, dc=5.0)}, seconds=10.2, frequency=((0.0, 50.02),), noise_counts=2000.0)
    x = signals.to_physical(signals.samples(scene), scene)["U1"]
    t = phase.track(x, scene.rate, 50)
    assert phase.ten_second(t, 0, 10 * scene.rate) == pytest.approx(50.02, abs=5e-5)


def test_5_1_1_ten_second_value_of_a_ramp_is_its_mean():
    scene = Scene({"U1": Channel((Tone(230.0),))}, seconds=10.2, frequency=((0.0, 49.0), (10.2, 51.0)))
    t = phase.track(signals.render(scene)["U1"], scene.rate, 50)
    # Whole cycles only: the last cut is at most one cycle of 10 s.
    assert phase.ten_second(t, 0, 10 * scene.rate) == pytest.approx(49.0 + 10.0 / 10.2, abs=0.004)


def test_5_1_2_out_of_range_and_absent_are_named():
    scene = Scene({"U1": Channel((Tone(230.0),))}, seconds=2.0, frequency=((0.0, 80.0),))
    t = phase.track(signals.render(scene)["U1"], scene.rate, 50)
    f = t.frequency(2000, 12000)
    assert f == pytest.approx(80.0, abs=1e-4) and not phase.in_range(f, 50)
    gone = Envelope(((1.0, 0.0), (1.6, 1.0)))
    scene = Scene({"U1": Channel((Tone(230.0),), envelope=gone)}, seconds=3.0)
    t = phase.track(signals.render(scene)["U1"], scene.rate, 50)
    assert t.frequency(0, 24000) is None and t.frequency(1000, 6000) == pytest.approx(50.0, abs=1e-3)
    # Carried on through the gap without losing a cycle.
    assert t.turns_at(20000) - t.turns_at(2000) == pytest.approx(112.5, abs=0.01)


@pytest.mark.parametrize("f_nominal, f, cycles", [(50, 50.0, 10), (50, 49.3, 10), (60, 60.0, 12), (60, 60.7, 12)])
def test_4_4_windows_are_gapless_and_hold_whole_cycles(f_nominal, f, cycles):
    t = steady_track(f, 30)
    w = windows.basic(t, f_nominal, 5.0, 30 * RATE - 1)
    assert all(a.end == b.start for a, b in zip(w, w[1:]))
    assert all((x.end - x.start) / RATE == pytest.approx(cycles / f, rel=1e-9) for x in w)
    assert t.turns_at(w[0].start) == pytest.approx(np.round(t.turns_at(w[0].start)), abs=1e-6)


def test_4_5_2_resynchronisation_at_the_ten_minute_tick():
    """Ten real minutes: the window at the tick runs on beyond it, the next one begins with the tick."""
    f, tick = 49.93, 600.0 * RATE
    t = steady_track(f, 605)
    w = windows.basic(t, 50, 0.0, 605 * RATE - 1, [tick])
    old = [x for x in w if x.interval == 0]
    new = [x for x in w if x.interval == 1]
    assert old[-1].start < tick < old[-1].end  # overlap 1: runs on, belongs to the old interval
    assert tick <= new[0].start < tick + RATE / f + 1 and new[0].start < old[-1].end
    assert len(old) == int(np.ceil(600 * f / 10))
    assert windows.long_intervals(w)[0] == list(range(len(old)))


def test_4_5_2_no_overlap_when_the_tick_falls_on_a_boundary():
    t = steady_track(50.0, 12)
    w = windows.basic(t, 50, 0.0, 12 * RATE - 1, [4.0 * RATE])
    assert all(abs(a.end - b.start) < 1e-3 for a, b in zip(w, w[1:]))
    assert sum(x.interval == 0 for x in w) == 20


def test_4_5_2_short_interval_is_completed_over_the_tick():
    """Overlap 2: the pending 150 cycles go on while a new 150 cycles begin at the tick."""
    t = steady_track(49.9, 14)
    w = windows.basic(t, 50, 0.0, 14 * RATE - 1, [4.1 * RATE])
    groups = windows.short_intervals(w)
    old = sum(x.interval == 0 for x in w)
    assert groups[0] == list(range(15))
    assert groups[1] == list(range(15, 30)) and 15 < old < 30
    assert groups[2][0] == old and groups[2] == list(range(old, old + 15))


def test_4_5_aggregate_is_the_root_of_the_mean_square():
    assert windows.aggregate([3.0, 4.0]) == pytest.approx(np.sqrt(12.5))


def test_4_5_3_ten_minutes_and_two_hours():
    f, rate = 50.0, 200
    t = steady_track(f, 7201, rate)
    ticks = [600.0 * rate * k for k in range(1, 13)]
    w = windows.basic(t, 50, 0.0, 7201 * rate - 1, ticks)
    parts = windows.long_intervals(w)
    assert [len(parts[k]) for k in range(12)] == [3000] * 12
    u = [230.0 + x.interval for x in w]
    tens = [float(windows.aggregate([u[k] for k in parts[n]])) for n in range(windows.PER_TWO_HOURS)]
    assert tens == pytest.approx([230.0 + n for n in range(12)])
    assert float(windows.aggregate(tens)) == pytest.approx(np.sqrt(np.mean((230.0 + np.arange(12)) ** 2)))


def test_4_7_flags_every_window_the_event_touches():
    t = steady_track(50.0, 3)
    w = windows.basic(t, 50, 0.0, 3 * RATE - 1)
    flags = windows.flagged(w, [(0.39 * RATE, 0.61 * RATE)])
    assert [k for k, f in enumerate(flags) if f] == [1, 2, 3]
    assert not any(windows.flagged(w, []))
