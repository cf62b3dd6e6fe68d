"""The survey: each layer is checked as a user would; verdict, causes and warnings are those that its facts ask for.

Run with `pytest tests/real_layers` in the environment that install.sh makes; see README.md.
"""

import json
import os
import subprocess
import sys
import tomllib

import pytest
from layers import HERE, layers
from verdicts import expectation

LIMIT = float(os.environ.get("SURVEY_LIMIT", "300"))
EFFORT = os.environ.get("SURVEY_EFFORT", "default")
FACTS = json.loads((HERE / "facts.json").read_text())
EXPECTED = tomllib.loads((HERE / "expected.toml").read_text())
LAYERS = layers()


def observed(record):
    """Verdict, causes and warnings of an implementation in the JSON record: the only place that knows its keys."""
    causes = record.get("causes")
    if causes is None:  # before causes existed: what was diagnosed, or where nothing was, the checks that failed
        causes = record["diagnosis"] or sorted({finding["check"] for finding in record["findings"]})
    return {
        "verdict": record["verdict"],
        "causes": [one if isinstance(one, str) else one["name"] for one in causes],
        "warnings": [one if isinstance(one, str) else one["name"] for one in record.get("warnings", [])],
    }


def run(layer, folder):
    """Check a layer in a process of its own; what was observed, and the end of what it printed."""
    declared = [word for key, value in layer.contract.items() for word in ("--norm-contract", f"{key}={value}")]
    out = folder / "run.json"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--norm", f"{layer.kind}={layer.target}"]
    command += ["--norm-effort", EFFORT, "--norm-json", str(out), *declared]
    try:
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"verdict": f"no verdict within {LIMIT:g} s", "causes": [], "warnings": []}, ""
    if ran.returncode == 4 or not out.exists():
        return {"verdict": "not bound", "causes": [], "warnings": []}, (ran.stderr or ran.stdout)[-800:]
    record = json.loads(out.read_text())["implementations"][0]
    return observed(record), ran.stdout[-2000:]


def differences(layer, got):
    """What of verdict, causes and warnings is not as expected. "a|b" is either; warnings of "may" are no difference."""
    want = EXPECTED[layer.id]
    out = [] if got["verdict"] == want["verdict"] else [f"verdict: {got['verdict']} instead of {want['verdict']}"]
    for key, optional in (("causes", []), ("warnings", want.get("may", []))):
        shown = set(got[key]) - (set(optional) - set(want[key]))
        if not all(set(one.split("|")) & shown for one in want[key]) or len(shown) != len(want[key]):
            out.append(f"{key}: {', '.join(got[key]) or 'none'} instead of {', '.join(want[key]) or 'none'}")
    return out


def test_every_layer_is_measured_and_expected():
    names = {layer.id for layer in LAYERS}
    assert len(names) == len(LAYERS) >= 60
    assert names == set(FACTS) == set(EXPECTED)
    assert {one["verdict"] for one in EXPECTED.values()} <= {"passed", "failed", "not bound"}


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.id)
def test_expectation_follows_from_the_facts(layer):
    assert EXPECTED[layer.id] == expectation(layer, FACTS)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.id)
def test_layer(layer, tmp_path):
    got, text = run(layer, tmp_path)
    found = differences(layer, got)
    assert not found, "\n".join([*found, EXPECTED[layer.id]["why"], text])
