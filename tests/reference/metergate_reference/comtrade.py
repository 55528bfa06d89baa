"""COMTRADE reader (IEEE C37.111-1991/1999/2013), tolerant of what recorders really write.

Known departures it accepts: text in cp1251, padded fields, file names that differ in case, empty lines between ASCII
records, zero sampling rates (the records' time stamps count), missing time stamps (the rate counts), and a sample
count in the configuration that differs from the data (the data count).
"""

import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from . import resample

MISSING_STAMP = 0xFFFFFFFF
MISSING_ANALOG = {"BINARY": -0x8000, "BINARY32": -0x80000000}
"""Raw value that means "no value" (1999, 8.6); in ASCII it is an empty field."""


class ComtradeError(ValueError):
    """The record cannot be read; the file is at fault and the message says where."""


@dataclass(frozen=True)
class Analog:
    """One analogue channel of the configuration; ``skew`` in s is its delay inside the sampling period."""

    name: str
    phase: str
    unit: str
    a: float
    b: float
    skew: float
    primary: float
    secondary: float
    side: str


@dataclass
class Record:
    """A loaded record: ``values[channel, n]`` in the unit of each channel, ``times`` in s from the first sample."""

    station: str
    revision: int
    f_nominal: float
    analog: list
    digital_names: list
    start: datetime
    trigger: datetime
    times: np.ndarray
    values: np.ndarray
    digital: np.ndarray
    stated_samples: int

    def channel(self, number):
        """Index of the channel with this 1-based position."""
        return number - 1

    def resampled(self, index, rate, skew=True):
        """One channel at ``rate``, band-limited, with its skew undone. Positions without enough neighbours are cut:
        returns (time of the first value in s, values)."""
        n = len(self.times)
        margin = resample.HALF_WIDTH + 2  # a skew stays below one sampling period
        first = int(np.ceil(self.times[margin] * rate))
        last = int(np.floor(self.times[n - margin - 2] * rate))
        t = np.arange(first, last + 1) / rate
        shift = self.analog[index].skew if skew else 0.0
        positions = np.interp(t - shift, self.times, np.arange(n))
        return first / rate, resample.at(self.values[index], positions)


def _text(data):
    for encoding in ("utf-8-sig", "cp1251"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def sibling(path, suffix):
    """The file beside ``path`` with another suffix, whatever its case."""
    path = Path(path)
    for candidate in path.parent.iterdir():
        if candidate.stem.lower() == path.stem.lower() and candidate.suffix.lower() == suffix:
            return candidate
    raise ComtradeError(f"{path.name}: no {suffix} file beside it")


def _stamp(text, revision):
    date, clock = (part.strip() for part in text.split(",", 1))
    first, second, year = (int(x) for x in date.split("/"))
    day, month = (second, first) if revision == 1991 else (first, second)
    if year < 100:
        year += 1900 if year >= 70 else 2000
    hms, _, fraction = clock.partition(".")
    hour, minute, sec = (int(x) for x in hms.split(":"))
    return datetime(year, month, day, hour, minute, sec, int((fraction + "000000")[:6]))


class _Config:
    def __init__(self, text, name):
        self.lines = [line.rstrip("\r") for line in text.split("\n")]
        self.name, self.at = name, 0

    def next(self):
        if self.at >= len(self.lines):
            raise ComtradeError(f"{self.name}: ends after line {self.at}")
        self.at += 1
        return self.lines[self.at - 1].strip()

    def fields(self):
        return [f.strip() for f in self.next().split(",")]


def load(cfg_path):
    """Loads the record of a .cfg file. Raises :class:`ComtradeError`."""
    cfg_path = Path(cfg_path)
    cfg = _Config(_text(cfg_path.read_bytes()), cfg_path.name)
    try:
        return _load(cfg, sibling(cfg_path, ".dat").read_bytes())
    except (ValueError, IndexError, struct.error) as error:
        if isinstance(error, ComtradeError):
            raise
        raise ComtradeError(f"{cfg_path.name}:{cfg.at}: {error}") from error


def _load(cfg, data):
    head = cfg.fields()
    revision = int(head[2]) if len(head) > 2 and head[2] else 1991
    _, n_analog, n_digital = cfg.fields()
    n_analog, n_digital = int(n_analog.rstrip("Aa")), int(n_digital.rstrip("Dd"))
    analog = []
    for _ in range(n_analog):
        f = cfg.fields() + [""] * 3
        analog.append(Analog(f[1], f[2], f[4], float(f[5]), float(f[6]), float(f[7] or 0) * 1e-6,
                             float(f[10] or 1), float(f[11] or 1), f[12].upper()))
    digital_names = [cfg.fields()[1] for _ in range(n_digital)]
    f_nominal = float(cfg.next() or 0)
    sections = []
    for _ in range(max(int(cfg.next()), 1)):
        rate, end = cfg.fields()
        sections.append((float(rate), int(end)))
    start, trigger = _stamp(cfg.next(), revision), _stamp(cfg.next(), revision)
    kind = cfg.next().upper()
    factor = 1.0
    if cfg.at < len(cfg.lines) and cfg.lines[cfg.at].strip():
        factor = float(cfg.next())
    if kind == "ASCII":
        stamps, raw, digital = _ascii(_text(data), n_analog, n_digital)
    elif kind in ("BINARY", "BINARY32", "FLOAT32"):
        stamps, raw, digital = _binary(data, kind, n_analog, n_digital)
    else:
        raise ComtradeError(f"{cfg.name}: unknown data type {kind!r}")
    scale = np.array([[c.a] for c in analog])
    offset = np.array([[c.b] for c in analog])
    times = _times(stamps, sections, factor)
    return Record(head[0], revision, f_nominal, analog, digital_names, start, trigger, times,
                  raw * scale + offset, digital, sections[-1][1])


def _ascii(text, n_analog, n_digital):
    rows = []
    for number, line in enumerate(text.replace("\x1a", "").splitlines(), 1):
        if not line.strip():
            continue
        fields = line.split(",")
        if len(fields) != 2 + n_analog + n_digital:
            raise ComtradeError(f"data line {number}: {len(fields)} fields, not {2 + n_analog + n_digital}")
        rows.append([float(f) if f.strip() else np.nan for f in fields])
    table = np.array(rows)
    return table[:, 1], table[:, 2:2 + n_analog].T, table[:, 2 + n_analog:].T.astype(np.uint8)


def _binary(data, kind, n_analog, n_digital):
    value = {"BINARY": "<i2", "BINARY32": "<i4", "FLOAT32": "<f4"}[kind]
    words = (n_digital + 15) // 16
    layout = np.dtype([("n", "<u4"), ("t", "<u4"), ("a", value, (n_analog,)), ("d", "<u2", (words,))])
    # A torn last record is dropped: a recorder that lost power writes one.
    table = np.frombuffer(data[:len(data) // layout.itemsize * layout.itemsize], dtype=layout)
    stamps = np.where(table["t"] == MISSING_STAMP, np.nan, table["t"].astype(np.float64))
    raw = table["a"].T.astype(np.float64)
    if kind in MISSING_ANALOG:
        raw = np.where(raw == MISSING_ANALOG[kind], np.nan, raw)
    bits = [(table["d"][:, k // 16] >> (k % 16)) & 1 for k in range(n_digital)]
    return stamps, raw, np.array(bits, dtype=np.uint8).reshape(n_digital, len(table))


def _times(stamps, sections, factor):
    """Seconds from the first sample: from the rates where stated, else from the time stamps."""
    n = len(stamps)
    if sections[0][0] > 0:
        period = np.full(n, 1 / sections[-1][0])
        begin = 0
        for rate, end in sections:
            period[begin:end] = 1 / rate
            begin = end
        return np.concatenate([[0.0], np.cumsum(period[1:])])
    if np.isnan(stamps).any():
        raise ComtradeError("neither a sampling rate nor time stamps")
    times = (stamps - stamps[0]) * factor * 1e-6
    if n > 1 and np.diff(times).min() <= 0:
        raise ComtradeError("time stamps do not grow")
    return times
