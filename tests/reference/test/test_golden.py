"""What is committed is what the model says: the manifest, the hashes, the values of a sample of the vectors."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
import generate  # noqa: E402
from metergate_reference import catalogue, signals  # noqa: E402

MANIFEST = json.loads((generate.GOLDEN / "manifest.json").read_text())["vectors"]
VECTORS = {v.id: v for v in catalogue.vectors()}
# Quick ones of every kind; `generate.py --check` does all.
SAMPLE = ["accuracy-10A-pf0.5i", "methods-plus3-plus2-minus1", "aron-pf0.25i", "frequency-60Hz-pf0.5i", "half-wave",
          "unbalance-angles", "dip-hysteresis-end", "aggregation-flagged", "clipped-I1", "neutral-displaced-60V"]


def test_manifest_and_catalogue_name_the_same_vectors():
    assert list(MANIFEST) == list(VECTORS)
    assert {p.stem for p in generate.GOLDEN.glob("*.json")} == set(VECTORS) | {"manifest"}


def test_manifest_and_documents_agree():
    for name, entry in MANIFEST.items():
        samples = json.loads((generate.GOLDEN / f"{name}.json").read_text())["samples"]
        assert (samples["sha256"], samples["bytes"]) == (entry["sha256"], entry["bytes"]), name
        assert samples["bytes"] == samples["frames"] * 4 * len(samples["frame_channels"])


@pytest.mark.parametrize("name", [n for n, v in VECTORS.items() if v.tier == "core" and v.scene.seconds <= 2.0])
def test_samples_have_the_committed_hash(name):
    vector = VECTORS[name]
    data = generate.raw(signals.samples(vector.scene), vector.frame_channels)
    assert hashlib.sha256(data).hexdigest() == MANIFEST[name]["sha256"]


@pytest.mark.parametrize("name", SAMPLE)
def test_expected_values_are_reproduced(name):
    vector = VECTORS[name]
    _, made = generate.document(vector, vector.scene, signals.samples(vector.scene))
    committed = json.loads((generate.GOLDEN / f"{name}.json").read_text())
    assert generate.differs(made, committed) is None


def test_records_in_their_own_units_have_values():
    for number in (1, 2, 3, 4):
        text = (generate.GOLDEN / "replay" / f"{number}.json").read_text()
        made = json.loads(text)
        assert made["record"] == number and generate.compact(made) + "\n" == text


def test_a_changed_value_is_noticed():
    name = SAMPLE[0]
    committed = json.loads((generate.GOLDEN / f"{name}.json").read_text())
    other = json.loads(json.dumps(committed))
    other["expect"]["means"]["phase"]["2"]["p"] *= 1.000001
    assert "phase.2.p" in generate.differs(other, committed)
