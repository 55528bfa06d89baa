#!/usr/bin/env python3
"""Makes and checks the golden vectors.

    generate.py --expect             write golden/*.json and golden/manifest.json anew (after a change of the model)
    generate.py --out DIR            write the raw samples to DIR/<id>.i32le, check them against the manifest
    generate.py --check              recompute everything, compare with what is committed, write nothing

``--tier core,long,recorded`` limits the work (default: core, and recorded when --comtrade DIR names the records);
``--only GLOB`` limits it further. With tier recorded, golden/replay/N.json (the records in their own units) is made too. Exit status 1 when anything differs.
"""

import argparse
import fnmatch
import hashlib
import json
import os
import re
import sys
from pathlib import Path

import numpy as np

from metergate_reference import CHANNELS, analysis, catalogue, energy, flicker, harmonics, phase, records, signals, windows

GOLDEN = Path(__file__).parent / "golden"
DIGITS = 10
"""Significant digits of an expected value: fewer than differ between machines, more than any tolerance needs."""
SAME = 1e-7
"""Relative difference that counts as equal in --check."""


def raw(counts, frame_channels):
    """The bytes of a vector: i32 little-endian, one frame after the other."""
    columns = [CHANNELS.index(n) for n in frame_channels]
    return np.ascontiguousarray(counts[:, columns]).astype("<i4").tobytes()


def tidy(value):
    """Plain JSON: rounded floats, lists, string keys."""
    if isinstance(value, dict):
        return {str(k): tidy(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [tidy(v) for v in value]
    if isinstance(value, (float, np.floating)):
        if abs(value) < 1e-9:
            return 0.0
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, np.integer):
        return int(value)
    return value


def tolerance(scene, seconds):
    """Allowed differences; README.md says how to apply them. The quantisation term is three sigma of what 24
    bits and the scene's noise leave in a mean power over the record: it differs with the exact span averaged."""
    frames = seconds * scene.rate
    noise = np.sqrt(1 / 12 + scene.noise_counts**2)
    lsb_u, lsb_i = scene.u_full_scale / 2**23, scene.i_full_scale / 2**23
    return {
        "active_ppm": 5.0, "active_ppm_below_pf_0.9": 10.0, "reactive_ppm": 10.0, "power_floor_ppm_of_s": 1.0,
        "power_quantisation_w": 3 * noise * np.hypot(scene.u_nominal * lsb_i, 100.0 * lsb_u) / np.sqrt(frames),
        "u_v": 1e-4 * scene.u_nominal, "i_ppm": 100.0, "i_a": 2 * lsb_i, "f_hz": 1e-4, "angle_deg": 0.01,
        "unbalance_percent": 0.01, "harmonic_u_v": 1e-4 * scene.u_nominal, "harmonic_i_part": 0.0015, "thd": 0.0005,
        "event_s": 1.05 / scene.f_nominal, "event_v": 0.002 * scene.u_nominal,
        "half_cycle_v": 0.002 * scene.u_nominal, "pst_part": 0.01,
    }


def expect(vector, scene, counts):
    """The expected values of one vector."""
    if "flicker" in vector.checks:
        u = signals.to_physical(counts, scene, ("U1",))["U1"]
        sensation = flicker.pinst(u, scene.rate, scene.f_nominal)[-600 * flicker.RATE:]
        return {"pst": flicker.pst(sensation), "pinst_max": float(sensation.max())}
    if vector.checks == ("clipped",):
        at_end = {n: int(np.count_nonzero((c == 2**23 - 1) | (c == -(2**23)))) for n, c in
                  ((n, counts[:, CHANNELS.index(n)]) for n in scene.channels)}
        return {"clipped_samples": at_end}
    if "out_of_range" in vector.checks:
        x = signals.to_physical(counts, scene)["U1"]
        track = phase.track(x, scene.rate, scene.f_nominal)
        n = len(x)
        f = [track.frequency(a, a + n // 10) for a in range(n // 10, n - n // 5, n // 10)]
        return {"f_hz": None, "f_true_hz": f}
    a = analysis.Analysis(scene, counts, [t * scene.rate for t in vector.ticks])
    out = {"span": {"start_frame": a.windows[0].start, "end_frame": a.windows[-1].end, "windows": len(a.windows)}}
    for check in vector.checks:
        out |= PARTS[check](vector, a)
    return out


def _energy(vector, a):
    seconds = (a.windows[-1].end - a.windows[0].start) / a.scene.rate
    out = {}
    for method in vector.methods:
        registers = a.energies(method, vector.start_threshold)
        out[method] = {
            "total": {k: v / seconds for k, v in registers.total.items()},
            "phase": {n: {k: v / seconds for k, v in r.items()} for n, r in registers.phase.items()},
            "signed": a.totals(method),
        }
    return {"mean_power_by_method": out}


def _windows(vector, a):
    rows = []
    for w, v in zip(a.windows, a.values):
        row = {"start": w.start, "end": w.end, "u": {k: p["u"] for k, p in v["phase"].items()}}
        if all("p" in p for p in v["phase"].values()):
            row["p"] = {k: p["p"] for k, p in v["phase"].items()}
            row["total"] = {m: energy.total(list(a.powers(v).values()), m) for m in vector.methods}
            row["total"] = {m: {k: x for k, x in t.items() if x} for m, t in row["total"].items()}
        rows.append(row)
    return {"windows": rows}


def _aggregates(vector, a):
    events = [(e.start, e.end) for e in a.events() if e.end is not None]
    flags = windows.flagged(a.windows, events)
    u = [[v["phase"][k]["u"] for k in "123"] for v in a.values]

    def part(indices):
        return {"first": indices[0], "count": len(indices), "u": list(windows.aggregate([u[k] for k in indices])),
                "flagged": any(flags[k] for k in indices)}

    return {"window_flags": flags, "tick_frames": [t * a.scene.rate for t in vector.ticks],
            "boundaries": [[w.start, w.end, w.interval] for w in a.windows],
            "short_intervals": [part(g) for g in windows.short_intervals(a.windows)],
            "long_intervals": [part(g) for g in windows.long_intervals(a.windows).values()]}


def _events(vector, a):
    rate = a.scene.rate
    return {"events": [{"kind": e.kind, "start_s": e.start / rate,
                        "duration_s": None if e.end is None else (e.end - e.start) / rate,
                        "extreme_v": e.extreme, "channels": [f"U{c + 1}" for c in e.channels]} for e in a.events()]}


def _half_cycles(vector, a):
    starts, _, values = a.half_cycles()
    low, high = values.min(axis=1), values.max(axis=1)
    return {"half_cycles": {"first_frame": starts[0], "count": len(starts), "min_v": list(low), "max_v": list(high)}}


def _rvc(vector, a):
    rate = a.scene.rate
    return {"rapid_changes": {n: [{"start_s": c.start / rate, "duration_s": (c.end - c.start) / rate,
                                   "du_max_v": c.du_max, "du_ss_v": c.du_ss} for c in changes]
                              for n, changes in a.rapid_changes().items()}}


def _frequency10(vector, a):
    rate, n = a.scene.rate, a.counts.shape[0]
    return {"f10_hz": [phase.ten_second(a.track, k * 10 * rate, (k + 1) * 10 * rate) for k in range(n // (10 * rate))]}


def _bands(vector, a):
    return {"bands_v": harmonics.bands_2_9_khz(a.physical["U1"], a.scene.rate)}


def _signalling(vector, a):
    f = a.frequency()
    values = [harmonics.signalling(harmonics.spectrum(x["U1"]), a.cycles, 316.7, f) for x in a.blocks]
    return {"signalling_v": float(np.sqrt(np.mean(np.square(values))))}


PARTS = {
    "means": lambda vector, a: {"means": a.means()},
    "energy": _energy,
    "spectra": lambda vector, a: {"spectra": {k: v for k, v in a.spectra().items() if k in ("U1", "I1", "IN")}},
    "windows": _windows,
    "aggregates": _aggregates,
    "events": _events,
    "half_cycles": _half_cycles,
    "rvc": _rvc,
    "frequency10": _frequency10,
    "bands": _bands,
    "signalling": _signalling,
    "line_unbalance": lambda vector, a: {"u2_line_percent": analysis.line_unbalance(a)},
}


def document(vector, scene, counts):
    """The committed JSON of one vector."""
    data = raw(counts, vector.frame_channels)
    return data, tidy({
        "id": vector.id, "what": vector.what, "clauses": vector.clauses, "tier": vector.tier,
        "samples": {"rate_hz": scene.rate, "frames": counts.shape[0], "frame_channels": vector.frame_channels,
                    "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        "meter": {"topology": scene.topology, "f_nominal": scene.f_nominal,
                  "u_nominal_mv": int(scene.u_nominal * 1000), "u_full_scale_mv": int(scene.u_full_scale * 1000),
                  "i_full_scale_ua": int(scene.i_full_scale * 1_000_000),
                  "channels": [n for n in CHANNELS if n in scene.channels], "start_mw": int(vector.start_threshold * 1000),
                  "start_utc_us": scene.start_utc_us},
        "expect": expect(vector, scene, counts),
        "tolerance": tolerance(scene, counts.shape[0] / scene.rate),
    })


def differs(a, b, path=""):
    """First place where two documents differ by more than :data:`SAME`, or None."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return f"{path}: keys {sorted(a.keys() ^ b.keys())}"
        return next((d for k in a if (d := differs(a[k], b[k], f"{path}.{k}"))), None)
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f"{path}: {len(a)} entries, not {len(b)}"
        return next((d for k, (x, y) in enumerate(zip(a, b)) if (d := differs(x, y, f"{path}[{k}]"))), None)
    number = (int, float)
    if isinstance(a, number) and isinstance(b, number) and not isinstance(a, bool):
        # Residues of rounding (sums that cancel) have no digits worth comparing.
        return None if abs(a - b) <= SAME * max(abs(a), abs(b)) + 1e-6 else f"{path}: {a} is not {b}"
    return None if a == b else f"{path}: {a!r} is not {b!r}"


def selected(args):
    tiers = set(args.tier.split(",")) if args.tier else {"core"} | ({"recorded"} if args.comtrade else set())
    if "recorded" in tiers and not args.comtrade:
        sys.exit("tier recorded needs --comtrade DIR or METERGATE_COMTRADE")
    for vector in catalogue.vectors():
        if vector.tier in tiers and fnmatch.fnmatch(vector.id, args.only):
            yield vector


def load_scene(vector, args):
    if vector.tier == "recorded":
        return catalogue.recorded(vector, Path(args.comtrade))
    return vector.scene, signals.samples(vector.scene)


def replay(vector, args):
    """Writes or compares golden/replay/N.json; what is wrong, or None."""
    number = int(vector.id.removeprefix("record-"))
    path = GOLDEN / "replay" / f"{number}.json"
    made = tidy(records.document(number, Path(args.comtrade)))
    if args.expect:
        path.parent.mkdir(exist_ok=True)
        path.write_text(compact(made) + "\n")
        return None
    return differs(made, json.loads(path.read_text()))


def compact(value):
    """JSON with lists of numbers on one line each."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return re.sub(r"\[[^\[\]{}]*\]", lambda m: " ".join(m.group().split()), text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--expect", action="store_true")
    action.add_argument("--check", action="store_true")
    action.add_argument("--out", type=Path)
    parser.add_argument("--tier", default="")
    parser.add_argument("--only", default="*")
    parser.add_argument("--comtrade", default=os.environ.get("METERGATE_COMTRADE", ""))
    args = parser.parse_args()
    manifest_path = GOLDEN / "manifest.json"
    manifest = json.loads(manifest_path.read_text()) if manifest_path.exists() else {"vectors": {}}
    failed = 0
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    for vector in selected(args):
        scene, counts = load_scene(vector, args)
        problem = None
        if args.out:
            data = raw(counts, vector.frame_channels)
            if hashlib.sha256(data).hexdigest() != manifest["vectors"][vector.id]["sha256"]:
                problem = "samples differ from the manifest"
            (args.out / f"{vector.id}.i32le").write_bytes(data)
        else:
            _, made = document(vector, scene, counts)
            path = GOLDEN / f"{vector.id}.json"
            if args.expect:
                path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
                manifest["vectors"][vector.id] = {"tier": vector.tier, "bytes": made["samples"]["bytes"],
                                                  "sha256": made["samples"]["sha256"]}
            else:
                problem = differs(made, json.loads(path.read_text()))
        print(f"{vector.id}: {problem or 'ok'}", flush=True)
        failed += problem is not None
        if vector.tier == "recorded" and not args.out:
            problem = replay(vector, args)
            print(f"replay of {vector.id}: {problem or 'ok'}", flush=True)
            failed += problem is not None
    if args.expect:
        order = [v.id for v in catalogue.vectors()]
        manifest["vectors"] = {k: manifest["vectors"][k] for k in order if k in manifest["vectors"]}
        manifest_path.write_text(json.dumps(manifest, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
