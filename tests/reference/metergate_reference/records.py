"""The recorded waveforms in their own units: what `metergate replay` should say of them.

Everything is counted from the record's first sample. The resampling filter needs neighbours, so the model sees the record
from ``begin_s`` on; what is under way there began earlier for those who see all of it.
"""

from dataclasses import replace

import numpy as np

from . import CHANNELS, analysis, catalogue, comtrade

CELL_S = 0.02
"""Length of the cells of the voltage profile, s."""
NOMINAL_V = {1: 100 / np.sqrt(3), 2: 110e3 / np.sqrt(3), 3: 57.8, 4: 3000.0}
"""What dips and swells of each record are measured against, V."""
CALM_S = {1: (1.6, 2.1), 3: (0.13, 0.43)}
"""Where a record has a steady voltage whose frequency means something."""
_UNIT = {"kV": 1000.0, "V": 1.0, "A": 1.0}


def document(number, folder):
    """Expected values of one record."""
    vector = next(v for v in catalogue.vectors() if v.id == f"record-{number}")
    stem = vector.record.split(".")[0]
    path = next(p for p in folder.iterdir() if p.stem == stem and p.suffix.lower() == ".cfg")
    record = comtrade.load(path)
    maps = catalogue.MAPS[vector.record]
    used = {name: (index, _UNIT[record.analog[index].unit]) for name, (index, _) in maps.items()}
    rms = {name: _rms(record.times, record.values[index] * unit) for name, (index, unit) in used.items()}
    begin, cells = _profile(record, {n: x for n, x in used.items() if n.startswith("U")})
    out = {"record": number, "samples": len(record.times), "duration_s": record.times[-1], "begin_s": begin,
           "nominal_v": NOMINAL_V[number], "rms": rms, "cell_s": CELL_S, "mean_squares_v2": cells}
    if number == 4:
        # Beyond the measuring range: no windows, no fundamental.
        return out
    factor = {name: maps[name][1] / unit for name, (_, unit) in used.items()}
    scene, counts = catalogue.recorded(replace(vector, scene=vector.scene.with_(seconds=1e4)), folder)
    a = analysis.Analysis(scene.with_(u_nominal=NOMINAL_V[number] * factor["U1"]), counts)
    if number == 1:
        out["f_hz"] = a.frequency()
    if number in CALM_S:
        calm = CALM_S[number]
        out["calm_s"] = calm
        out["f_calm_hz"] = a.track.frequency(*((t - begin) * scene.rate for t in calm))
    phases = {}
    for k in "123":
        if f"I{k}" in used:
            rows = [v["phase"][k] for v in a.values]
            scale = 1 / (factor[f"U{k}"] * factor[f"I{k}"])
            product = a.physical[f"U{k}"] * a.physical[f"I{k}"]
            phases[k] = {"p": float(np.mean(product)) * scale}
            # Record 3 loses its voltages: windows without a fundamental have no reactive power worth a mean.
            if number == 2:
                phases[k]["q1"] = float(np.mean([r["q1"] for r in rows])) * scale
    out["power"] = phases
    out["events"] = [
        {"kind": e.kind, "at_s": begin + e.start / scene.rate,
         "duration_s": None if e.end is None else (e.end - e.start) / scene.rate,
         "value_v": e.extreme / factor["U1"], "phases": [c + 1 for c in e.channels]} for e in a.events()]
    return out


def _rms(times, x):
    """Root of the mean square over the whole record, whose samples need not be equidistant."""
    weights = np.gradient(times)
    return float(np.sqrt(np.sum(x**2 * weights) / np.sum(weights)))


def _profile(record, used):
    """(begin, name -> mean squares over cells of :data:`CELL_S`)."""
    rate, cells = 8000, {}
    for name in (n for n in CHANNELS if n in used):
        index, unit = used[name]
        begin, x = record.resampled(index, rate)
        per_cell = int(rate * CELL_S)
        count = len(x) // per_cell
        squares = (x[:count * per_cell] * unit) ** 2
        cells[name] = [float(f"{v:.6g}") for v in squares.reshape(count, per_cell).mean(axis=1)]
    return begin, cells
