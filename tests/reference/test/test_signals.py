"""The generator: its sine, its currents, its bytes."""

import numpy as np
import pytest

from metergate_reference import signals
from metergate_reference.sine import cos_turns, sin_turns


def test_sine_is_exact_to_double_precision():
    t = np.linspace(-3.0, 3.0, 60_001)
    assert np.abs(sin_turns(t) - np.sin(2 * np.pi * t)).max() < 3e-15
    assert np.abs(cos_turns(t) - np.cos(2 * np.pi * t)).max() < 3e-15
    assert sin_turns(0.25) == 1.0 and sin_turns(1_000_000.5) == 0.0


def test_phase_is_the_integral_of_the_frequency():
    scene = signals.Scene({}, frequency=((0.0, 50.0), (2.0, 50.0), (4.0, 52.0)))
    assert signals.theta(scene, np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx([50, 100, 150.5, 202, 254])


def test_quantising_rounds_clips_and_leaves_absent_channels_zero():
    scene = signals.Scene({"U1": signals.Channel((), dc=300.0), "I1": signals.Channel((), dc=-250.0)}, seconds=0.01)
    counts = signals.samples(scene)
    assert counts.shape == (80, 7) and counts.dtype == np.int32
    assert (counts[:, 0] == 1 << 22).all() and (counts[:, 3] == -(1 << 23)).all()
    assert not counts[:, [1, 2, 4, 5, 6]].any()


@pytest.mark.parametrize("shape", ["half", "fired"])
def test_special_currents_are_the_series_of_their_wave(shape):
    """IEC 62053-21 annexes: half-wave rectified and phase-fired currents."""
    x = np.arange(4096) / 4096
    if shape == "half":
        tones, dc = signals.half_wave(10.0, orders=400)
        wave = np.maximum(10 * np.sin(2 * np.pi * x), 0)
    else:
        tones, dc = signals.phase_fired(10.0, orders=400), 0.0
        wave = np.where((x % 0.5) >= 0.25, 10 * np.sin(2 * np.pi * x), 0)
    series = dc + sum(t.rms * np.sqrt(2) * np.sin(2 * np.pi * (t.order * x + t.deg / 360)) for t in tones)
    away = np.abs((x + 0.05) % 0.25 - 0.05) > 0.02  # the series overshoots at the jumps
    assert np.abs(series - wave)[away].max() < 0.1
    assert np.mean(series * np.sin(2 * np.pi * x)) == pytest.approx(np.mean(wave * np.sin(2 * np.pi * x)), rel=1e-3)


def test_truth_refuses_what_it_cannot_know():
    scene = signals.Scene({"U1": signals.Channel((), envelope=signals.Envelope(((0.0, 2.0),)))})
    with pytest.raises(ValueError):
        signals.truth(scene)
