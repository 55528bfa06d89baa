"""The COMTRADE reader: every departure of real records in small, and the four real records where they are at hand
(METERGATE_COMTRADE names their folder)."""

import os
import struct
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from metergate_reference import catalogue, comtrade
from metergate_reference.analysis import Analysis

RECORDS = Path(os.environ.get("METERGATE_COMTRADE", "/nonexistent"))
needs_records = pytest.mark.skipif(not RECORDS.is_dir(), reason="METERGATE_COMTRADE does not name a folder")


def write(folder, name, cfg, dat, encoding="ascii", upper=False):
    suffixes = (".CFG", ".DAT") if upper else (".cfg", ".dat")
    path = folder / (name + suffixes[0])
    path.write_bytes(cfg.encode(encoding))
    (folder / (name + suffixes[1])).write_bytes(dat)
    return path


def config(rates="1\n1000,3", kind="ASCII", counts="3,2A,1D", tail="1\n", revision=",1999"):
    return (f"станция,7{revision}\n{counts}\n1,Ua,A,,V,0.5,10,250,-100,100,110,1,P\n  2, Ib ,B,,A, 2E-1 ,0,0,-1,1,1,1,s\n"
            f"1,trip,,,0\n50\n{rates}\n25/05/2017,08:13:16.587\n25/05/2017,08:13:16.677000\n{kind}\n{tail}")


def binary(rows, stamp=None):
    return b"".join(struct.pack("<IIhhH", n, t if stamp is None else stamp, a, b, d) for n, t, a, b, d in rows)


ROWS = [(1, 0, 10, -5, 0), (2, 1000, 20, 5, 1), (3, 2000, -30, 15, 1)]


def test_ascii_with_empty_lines_and_cp1251(tmp_path):
    dat = "".join(f"{n},{t},{a},{b},{d}\n\n" for n, t, a, b, d in ROWS).encode()
    r = comtrade.load(write(tmp_path, "a", config(), dat, "cp1251"))
    assert r.station == "станция" and r.start == datetime(2017, 5, 25, 8, 13, 16, 587000)
    assert r.values == pytest.approx(np.array([[15, 20, -5], [-1, 1, 3]]))
    assert r.times == pytest.approx([0, 0.001, 0.002]) and r.digital.tolist() == [[0, 1, 1]]
    assert r.analog[0].skew == pytest.approx(250e-6) and r.analog[0].primary == 110
    assert (r.analog[1].name, r.analog[1].side) == ("Ib", "S")


def test_binary_names_in_capitals_and_padded_counts(tmp_path):
    path = write(tmp_path, "b", config(kind="BINARY", counts=" 3, 2A,  1D"), binary(ROWS), "utf-8", upper=True)
    r = comtrade.load(path)
    assert r.values[0] == pytest.approx([15, 20, -5]) and r.digital.tolist() == [[0, 1, 1]]


def test_zero_rates_take_the_time_stamps_and_their_factor(tmp_path):
    path = write(tmp_path, "c", config(rates="0\n0,  3", kind="BINARY", tail="2\n"), binary(ROWS), "utf-8")
    assert comtrade.load(path).times == pytest.approx([0, 0.002, 0.004])


def test_missing_stamps_take_the_rate_and_the_data_decide_the_count(tmp_path):
    path = write(tmp_path, "d", config(rates="1\n500,2", kind="BINARY"), binary(ROWS, 0xFFFFFFFF), "utf-8")
    r = comtrade.load(path)
    assert r.times == pytest.approx([0, 0.002, 0.004]) and r.stated_samples == 2 and r.values.shape == (2, 3)


def test_rate_sections(tmp_path):
    dat = "".join(f"{n},0,{a},{b},{d}\n" for n, t, a, b, d in ROWS).encode()
    path = write(tmp_path, "e", config(rates="2\n1000,2\n500,3"), dat, "utf-8")
    assert comtrade.load(path).times == pytest.approx([0, 0.001, 0.003])


def test_missing_values_and_a_torn_last_record(tmp_path):
    dat = b"1,0,,-5,0\n2,1000,20,5,1\n"
    assert np.isnan(comtrade.load(write(tmp_path, "f", config(), dat, "utf-8")).values[0, 0])
    torn = binary([(1, 0, -0x8000, 0, 0), (2, 1000, 1, 1, 0)]) + b"\x03\x00"
    r = comtrade.load(write(tmp_path, "g", config(kind="BINARY"), torn, "utf-8"))
    assert r.values.shape == (2, 2) and np.isnan(r.values[0, 0])


def test_revision_1991_without_year_and_factor(tmp_path):
    cfg = config(revision="", tail="").replace("25/05/2017", "05/25/17")
    dat = "".join(f"{n},{t},{a},{b},{d}\n" for n, t, a, b, d in ROWS).encode()
    r = comtrade.load(write(tmp_path, "h", cfg, dat, "utf-8"))
    assert r.revision == 1991 and r.start.date().isoformat() == "2017-05-25"


@pytest.mark.parametrize("cfg, dat", [
    (config(kind="PICTURE"), b""),
    (config(counts="3,9A,1D"), b""),
    (config(rates="0\n0,3", kind="BINARY"), binary(ROWS, 0xFFFFFFFF)),
    (config(), b"1,0,5\n"),
    ("too short", b""),
])
def test_broken_records_are_refused_by_name(tmp_path, cfg, dat):
    with pytest.raises(comtrade.ComtradeError):
        comtrade.load(write(tmp_path, "x", cfg, dat, "utf-8"))


def test_skew_moves_the_channel(tmp_path):
    rate, n, f = 1200, 600, 50.0
    delay = 841e-6
    t = np.arange(n) / rate
    raw = np.rint(20000 * np.sin(2 * np.pi * f * (t + delay))).astype(int)
    cfg = config(rates=f"1\n{rate},{n}", kind="BINARY").replace("0.5,10,250", f"0.01,0,{delay * 1e6:.0f}")
    r = comtrade.load(write(tmp_path, "s", cfg, binary([(k, 0, int(v), 0, 0) for k, v in enumerate(raw)]), "utf-8"))
    start, x = r.resampled(0, 8000)
    want = 200 * np.sin(2 * np.pi * f * (start + np.arange(len(x)) / 8000))
    assert np.abs(x - want).max() < 0.02


# --- the real records ----------------------------------------------------------------------------------------------


@needs_records
@pytest.mark.parametrize("name, shape, seconds", [
    ("1.cfg", (4, 5316), 2.2114), ("2.cfg", (55, 19680), 16.3992), ("3.cfg", (24, 1360), 1.6983), ("4.CFG", (6, 2400), 3.9983)])
def test_records_load(name, shape, seconds):
    r = comtrade.load(RECORDS / name)
    assert r.values.shape == shape and r.times[-1] == pytest.approx(seconds, abs=1e-3)


def recorded(name):
    vector = next(v for v in catalogue.vectors() if v.record == name)
    return Analysis(*catalogue.recorded(vector, RECORDS))


@needs_records
def test_record_1_dips_and_swells_on_different_phases():
    a = recorded("1.cfg")
    kinds = {(e.kind, c) for e in a.events() for c in e.channels}
    assert ("dip", 1) in kinds and ("swell", 2) in kinds and a.frequency() == pytest.approx(50.03, abs=0.1)


@needs_records
def test_record_2_power_swing_is_dips_not_an_earth_fault():
    a = recorded("2.cfg")
    dips = [e for e in a.events() if e.kind == "dip"]
    deepest = min(dips, key=lambda e: e.extreme)
    assert len(dips) >= 4 and deepest.channels == (0, 1, 2)
    assert 9.0 < deepest.extreme < 16.0  # 2.9 to 3.5 kV of 63.5 kV, carried to 230 V
    assert not any(e.kind == "interruption" for e in a.events())
    assert max(v["u_displacement"] for v in a.values) < 0.05 * 230


@needs_records
def test_record_3_phase_loss_then_interruption():
    found = recorded("3.cfg").events()
    dip = next(e for e in found if e.kind == "dip")
    interruption = next(e for e in found if e.kind == "interruption")
    assert dip.start < interruption.start and dip.end is None


@needs_records
def test_record_4_is_out_of_range_and_says_so():
    a = recorded("4.cfg")
    assert a.frequency() is None
    f = a.track.frequency(a.windows[0].start, a.windows[-1].end)
    assert 77.0 < f < 85.0
