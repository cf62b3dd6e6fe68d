"""What continuous integration reads: JUnit, SARIF, GitLab, GitHub, badges, a baseline, the action and the hook."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from normcheck.core.errors import UsageError
from normcheck.core.result import FAILED, PASSED, Finding, Outcome
from normcheck.engine.accepted_findings import of_saved_run, settle
from normcheck.pytest_plugin import report_options
from normcheck.report import files
from normcheck.report.services import badge, github, gitlab, markdown, problems, sarif

ROOT = Path(__file__).parent.parent
HERE = Path()

KERNELS = """
import torch

LIMIT = 3


def sound(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)


def wrong(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, 2 * eps)
"""
WRONG = "layer_norm=kernels:wrong"
QUICK = ("-q", "-p", "no:cacheprovider", "--norm-effort", "quick", "-k", "eps-is-read or moments or sign or a_call")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(kernels=KERNELS)
    yield pytester
    sys.modules.pop("kernels", None)


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_inprocess(*QUICK, *args)


# Forms


def test_every_form_has_an_option_and_a_writer(document: dict[str, Any]) -> None:
    assert tuple(files.FORMS) == report_options.FORMS
    assert all(files.text(document, form, Path("x.svg"), HERE) for form in files.FORMS)


def sarif_of(document: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """The rules and the results of a run."""
    (one,) = json.loads(sarif.text(document, HERE, HERE))["runs"]
    return [rule["id"] for rule in one["tool"]["driver"]["rules"]], one["results"]


def test_sarif_has_a_result_for_each_cause_and_not_for_each_finding(document: dict[str, Any]) -> None:
    rules, results = sarif_of(document)
    (cause,) = document["implementations"][1]["causes"]
    wrong = results[1]

    assert [(one["ruleId"], one["level"]) for one in results] == [
        ("accuracy=half:bfloat16", "warning"), ("one-pass-variance", "error"), ("error", "error"),
    ]  # fmt: skip
    assert sorted(rules) == rules == ["accuracy=half:bfloat16", "error", "one-pass-variance"]
    assert wrong["properties"]["checks"] == cause["checks"]
    assert len(cause["checks"]) > 2
    assert wrong["properties"]["replay"] == cause["finding"]["replay"]
    text = wrong["message"]["text"]
    assert text.startswith("one-pass-variance: ")
    assert text.count("without normcheck:") == 1
    for check in set(cause["checks"]) - {cause["finding"]["check"]}:
        assert f"\n{check}: same cause as {cause['finding']['check']}, one-pass-variance" in text


def test_every_sarif_result_has_a_rule_and_a_place(document: dict[str, Any]) -> None:
    rules, results = sarif_of(document)

    for result in results:
        place = result["locations"][0]["physicalLocation"]
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert place["region"]["startLine"] >= 1
        assert not set(place["artifactLocation"]["uri"]) & set(" <>\"'{}|`")


def described(value: Any, like: Any, place: str = "sarif") -> None:
    """Assert that a value has the structure that the public schema of SARIF 2.1.0 asks for, written down by hand."""
    if isinstance(like, list):
        assert isinstance(value, list), place
        for item in value:
            described(item, like[0], place)
    elif isinstance(like, dict):
        assert isinstance(value, dict), place
        required = {key.removesuffix("!") for key in like if key.endswith("!")}
        known = {key.removesuffix("!"): inner for key, inner in like.items()}
        assert required <= value.keys() <= known.keys(), (place, value.keys())
        for key, item in value.items():
            described(item, known[key], f"{place}.{key}")
    elif isinstance(like, type):
        assert type(value) is like, place
    elif callable(like):
        assert like(value), (place, value)


def uri(value: Any) -> bool:
    return re.fullmatch(r"https://[a-z.-]+/[\w./~-]*", value) is not None


def uri_reference(value: Any) -> bool:
    return re.fullmatch(r"[\w./~%-]+", value, re.ASCII) is not None


WORDS_OF_SARIF = {"text!": lambda value: isinstance(value, str) and value, "markdown": str}
LEVEL = lambda value: value in ("none", "note", "warning", "error")
SARIF = {
    "$schema": uri,
    "version!": lambda value: value == "2.1.0",
    "runs!": [{
        "tool!": {"driver!": {
            "name!": str, "version": str, "informationUri!": uri,
            "rules": [{
                "id!": str, "shortDescription!": WORDS_OF_SARIF, "fullDescription!": WORDS_OF_SARIF,
                "help!": WORDS_OF_SARIF, "helpUri!": uri, "defaultConfiguration": {"level": LEVEL},
            }],
        }},
        "results": [{
            "ruleId": str, "ruleIndex": lambda value: type(value) is int and value >= 0, "level": LEVEL,
            "message!": WORDS_OF_SARIF,
            "locations": [{
                "physicalLocation": {
                    "artifactLocation!": {"uri": uri_reference},
                    "region": {"startLine": lambda value: type(value) is int and value >= 1},
                },
                "logicalLocations": [{"fullyQualifiedName": str}],
            }],
            "partialFingerprints": dict.fromkeys(sarif.FINGERPRINTS, str),
            "suppressions": [{"kind!": lambda value: value in ("inSource", "external"), "justification": str}],
            "properties": lambda value: isinstance(value, dict),
        }],
    }],
}  # fmt: skip
"""The parts of the schema that are used: each key with "!" is required here or there."""


def test_sarif_has_the_structure_of_its_schema(document: dict[str, Any]) -> None:
    run = copy.deepcopy(document)
    run["implementations"][0]["expected_findings"] = {"value": "issue 12"}
    run["implementations"][2]["target"] = "a b/é 😀{}.py:f"
    found = json.loads(sarif.text(run, HERE, HERE))

    described(found, SARIF)
    rules = found["runs"][0]["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    known = next(rule for rule in rules if rule["id"] == "one-pass-variance")
    assert known["helpUri"].startswith("https://github.com/pytorch/pytorch/issues/")
    assert "normcheck explain one-pass-variance" in known["help"]["text"]


@pytest.mark.parametrize("times", [1, 40, 400])
def test_markdown_fits_into_a_comment(document: dict[str, Any], times: int) -> None:
    """Whatever does not fit is left out whole, with a line that says how much, and where all of it is."""
    run = copy.deepcopy(document) | {"implementations": copy.deepcopy(document["implementations"]) * times}
    text = markdown.text(run, HERE, HERE)

    assert len(text) <= 60_000
    assert ("left out here: the page (--norm-html) and the record (--norm-json) have all." in text) == (times > 1)
    assert text.count("<details>") == text.count("</details>") > 0
    assert {line.count(" | ") for line in text.splitlines() if line.startswith("| ")} == {7}


def test_a_text_that_is_too_long_for_markdown_is_left_out(document: dict[str, Any]) -> None:
    run = copy.deepcopy(document)
    run["implementations"][2] |= {"target": "x" * 70_000, "errors": ["<" * 70_000]}
    text = markdown.text(run, HERE, HERE)

    assert len(text) <= 60_000
    assert "one-pass-variance" in text
    assert "2 of " in text


def test_a_result_is_the_same_in_the_next_run(document: dict[str, Any]) -> None:
    """Other numbers, other cases and other failing checks are the same result; another cause or target is not."""

    def fingerprints(run: dict[str, Any]) -> list[str]:
        found = [one["partialFingerprints"] for one in sarif_of(run)[1]]
        assert all(len(set(one.values())) == 1 for one in found)
        return [one["primaryLocationLineHash"] for one in found]

    first = fingerprints(document)
    later = copy.deepcopy(document)
    for finding in [later["implementations"][1]["causes"][0]["finding"], *later["implementations"][1]["findings"]]:
        finding |= {"observed": 7.0, "replay": "pytest --norm-replay value/n=9", "check": "moments"}
    later["implementations"][1]["causes"][0]["checks"] = ["moments"]
    assert len(set(first)) == 3
    assert fingerprints(later) == first
    later["implementations"][1]["causes"][0]["name"] = "eps-ignored"
    for finding in later["implementations"][1]["findings"]:
        finding["cause"] = "eps-ignored"
    later["implementations"][2]["target"] = "other.py:f"
    assert not set(fingerprints(later)[1:]) & set(first)


def test_a_record_without_causes_has_a_result_for_each_finding(document: dict[str, Any]) -> None:
    run = copy.deepcopy(document)
    for one in run["implementations"]:
        del one["causes"], one["warnings"]

    checks = [finding["check"] for finding in run["implementations"][1]["findings"]]
    assert [one["ruleId"] for one in sarif_of(run)[1]] == [*checks, "error"]


def test_what_is_accepted_is_suppressed_with_its_reason(document: dict[str, Any]) -> None:
    run = copy.deepcopy(document)
    run["implementations"][0]["expected_findings"] = {"value": "issue 12"}
    results = json.loads(sarif.text(run, HERE, HERE))["runs"][0]["results"]

    assert [r["suppressions"][0]["justification"] for r in results if "suppressions" in r] == ["issue 12"]
    assert len(json.loads(gitlab.text(run, HERE, HERE))) == len(json.loads(gitlab.text(document, HERE, HERE)))


def test_gitlab_has_what_it_requires(document: dict[str, Any]) -> None:
    entries = json.loads(gitlab.text(document, HERE, HERE))

    assert [e["severity"] for e in entries] == ["minor", "major", "critical"]
    for entry in entries:
        assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["location"]["lines"]["begin"] >= 1


def test_a_badge_says_the_worst(document: dict[str, Any]) -> None:
    sound = document | {"implementations": document["implementations"][:1]}

    assert badge.summary(document) == ("1 of 3 failed", "failed")
    assert badge.summary(sound) == ("1 passed", "passed")
    assert badge.summary(document | {"implementations": []})[1] == "failed"
    assert json.loads(badge.text(sound, Path("b.json"), HERE))["schemaVersion"] == 1
    drawn = ET.fromstring(badge.text(document, Path("b.svg"), HERE))
    assert "1 of 3 failed" in "".join(drawn.itertext())


def test_markdown_shows_hostile_text_as_it_is(document: dict[str, Any]) -> None:
    text = markdown.text(document, HERE, HERE)

    assert "<script" not in text
    assert "<img" not in text
    assert "{{" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.count(" | ") for line in rows} == {7}
    assert text.count("<details>") == sum(len(i["causes"]) + len(i["errors"]) for i in document["implementations"])
    assert text.count("\n* ") == sum(len(i["warnings"]) for i in document["implementations"]) == 1


def test_an_annotation_is_one_line_whatever_the_text(document: dict[str, Any]) -> None:
    run = copy.deepcopy(document)
    run["implementations"][2]["target"] = "a,b::c%0A\n::error::x.py:f"
    found = list(github.commands(run, HERE))

    assert [line.partition(" ")[0] for line in found] == ["::error", "::error", "::warning"]
    assert not any("\n" in line for line in found)
    head = found[1].removeprefix("::error ").partition("::")[0]
    assert [part.partition("=")[0] for part in head.split(",")] == ["file", "line", "title"]


def test_many_annotations_end_with_their_number(document: dict[str, Any]) -> None:
    run = document | {"implementations": document["implementations"] * 9}
    lines = list(github.commands(run, HERE))

    assert [line.partition(" ")[0] for line in lines] == ["::error"] * 10 + ["::notice"] + ["::warning"] * 9
    assert "18 errors in all" in lines[10]


@pytest.mark.parametrize(
    ("target", "path", "line"),
    [
        ("kernels:sound", "kernels.py", 7),
        ("./kernels.py:wrong", "kernels.py", 11),
        ("kernels:LIMIT", "kernels.py", 4),
        ("kernels:nothing", "kernels.py", 1),
        ("inner:Class.method", "src/inner/__init__.py", 2),
        ("torch.nn:LayerNorm", "torch/nn.py", 1),
        ("broken:f", "broken.py", 1),
        ("no colon at all", "unknown", 1),
    ],
)
def test_a_problem_has_a_place_in_the_source(tmp_path: Path, target: str, path: str, line: int) -> None:
    (tmp_path / "kernels.py").write_text(KERNELS)
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "src" / "inner").mkdir(parents=True)
    (tmp_path / "src" / "inner" / "__init__.py").write_text("\nclass Class: pass\n")

    assert problems.locate(target, tmp_path) == problems.Place(path, line)


# In a session


def test_all_forms_are_written_by_a_run(project: pytest.Pytester) -> None:
    names = {form: f"out/run.{form}" for form in report_options.FORMS}
    result = run(project, "--norm", WRONG, *(f"--norm-{form}={name}" for form, name in names.items()))

    assert result.ret == 1
    assert all((project.path / name).stat().st_size for name in names.values())
    result.stdout.fnmatch_lines([f"written: {name}" for name in names.values()])


def test_junit_holds_the_outcomes_as_properties(project: pytest.Pytester) -> None:
    run(project, "--norm", WRONG, "--junitxml", "junit.xml")
    cases = ET.parse(project.path / "junit.xml").iter("testcase")
    properties = {p.get("name"): p.get("value") for case in cases for p in case.iter("property")}

    assert properties["layer_norm kernels:wrong eps-is-read: status"] == "failed"
    assert "--norm-replay eps-is-read" in properties["layer_norm kernels:wrong eps-is-read: replay"]
    assert properties["layer_norm kernels:wrong eps-is-read: cause"] == "unexplained"
    assert int(properties["layer_norm kernels:wrong sign: compared"]) > 0


def test_on_github_there_are_annotations_and_a_summary(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    (project.path / "summary.md").write_text("before\n")
    result = run(project, "--norm", WRONG)

    result.stdout.fnmatch_lines(["::error file=kernels.py,line=10,title=layer_norm kernels%3Awrong%3A *::*"])
    assert (project.path / "summary.md").read_text().startswith("before\n## normcheck: 1 of 1 failed\n")


def test_elsewhere_there_are_none(project: pytest.Pytester) -> None:
    assert "::error" not in run(project, "--norm", WRONG).stdout.str()


# A baseline


def test_what_a_baseline_knows_does_not_fail_and_what_is_new_does(project: pytest.Pytester) -> None:
    assert run(project, "--norm", WRONG, "--norm-json", "old.json").ret == 1
    result = run(project, "--norm", WRONG, "--norm-baseline", "old.json", "--norm-json", "new.json")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["baseline: 0 new, * known, 0 gone (old.json)"])
    saved = json.loads((project.path / "new.json").read_text())["implementations"][0]
    assert set(saved["expected_findings"].values()) == {"in the baseline old.json"}

    old = json.loads((project.path / "old.json").read_text())
    old["implementations"][0]["findings"] = old["implementations"][0]["findings"][1:]
    (project.path / "old.json").write_text(json.dumps(old))
    assert run(project, "--norm", WRONG, "--norm-baseline", "old.json").ret == 1


def test_what_is_gone_from_a_baseline_is_said_and_fails_nothing(project: pytest.Pytester) -> None:
    run(project, "--norm", WRONG, "--norm-json", "old.json")
    old = (project.path / "old.json").read_text().replace("kernels:wrong", "kernels:sound")
    (project.path / "old.json").write_text(old)
    result = run(project, "--norm", "layer_norm=kernels:sound", "--norm-baseline", "old.json")

    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["baseline: 0 new, 0 known, * gone (old.json)", "baseline: gone: layer_norm kernels:sound: eps-is-read"]
    )


def test_a_baseline_serves_the_fixture_too(project: pytest.Pytester) -> None:
    project.makepyfile("def test_it(normcheck): normcheck.verify('kernels:wrong', as_='layer_norm', effort='quick')")
    args = ("-q", "-p", "no:cacheprovider", "--norm-replay", "moments/n=2")

    assert project.runpytest_inprocess(*args, "--norm-json", "old.json").ret == 1
    assert project.runpytest_inprocess(*args, "--norm-baseline", "old.json").ret == 0


def test_a_saved_run_of_another_kind_excuses_nothing(document: dict[str, Any], tmp_path: Path) -> None:
    finding = Finding("value", "law", 2.0, 1.0, (0,), {})
    failing = Outcome("layer_norm", "m:f", "value", FAILED, 10, 2.0, finding=finding)
    one = document["implementations"][1] | {"kind": "rms_norm", "target": "m:f", "findings": [finding.record()]}
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document | {"implementations": [one]}))
    entries = of_saved_run("old.json", files.read(path))

    assert settle(failing, entries, None) is failing
    path.write_text(json.dumps(document | {"implementations": [one | {"kind": "layer_norm"}]}))
    assert settle(failing, of_saved_run("old.json", files.read(path)), None).status == PASSED


@pytest.mark.parametrize(
    ("text", "said"), [("{", "is not JSON"), ("[]", "is not a run of normcheck"), (None, "cannot read")]
)
def test_a_file_that_is_no_run_ends_with_4(project: pytest.Pytester, text: str | None, said: str) -> None:
    if text is not None:
        (project.path / "old.json").write_text(text)
    result = run(project, "--norm", WRONG, "--norm-baseline", "old.json")

    assert result.ret == 4
    assert said in result.stderr.str()
    with pytest.raises(UsageError, match=said):
        files.read(project.path / "old.json")


# The command


def command(words: list[str], folder: Path, environment: Any = None) -> subprocess.CompletedProcess[str]:
    """What a command says, its errors among the rest."""
    return subprocess.run(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def test_the_command_renders_a_saved_run(document: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(document))
    words = ["report", "run.json", "--html", "deep/run.html", "--badge", "badge.svg"]
    done = command([sys.executable, "-m", "normcheck", *words], tmp_path)

    assert (done.returncode, done.stdout) == (0, "written: deep/run.html\nwritten: badge.svg\n")
    assert (tmp_path / "deep" / "run.html").read_text().startswith("<!doctype html>")


def test_the_command_without_a_form_ends_with_4(document: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(document))
    done = command([sys.executable, "-m", "normcheck", "report", "run.json"], tmp_path)

    assert done.returncode == 4
    assert "say what, as in normcheck report RUN.json --html OUT" in done.stdout


# The action and the hook


def test_the_steps_of_the_action_check_a_project(project: pytest.Pytester) -> None:
    """Run as the runner runs it, expressions filled in by hand; what GitHub itself does is not here."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    given = {name: one.get("default", "") for name, one in action["inputs"].items()}
    given |= {"norm": "layer_norm=kernels:sound\nlayer_norm=kernels:wrong\n", "effort": "quick"}
    step = action["runs"]["steps"][-1]
    environment = {key: given[value.split("inputs.")[1].split()[0]] for key, value in step["env"].items()}
    environment |= os.environ | {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "summary.md"}
    environment["PYTEST_ADDOPTS"] = f"-k '{QUICK[-1]}'"
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = command(["bash", "-e", "-o", "pipefail", "-c", step["run"]], project.path, environment)

    assert done.returncode == 1, done.stdout
    assert "::error file=kernels.py,line=10" in done.stdout
    written = {path.name for path in (project.path / "normcheck-report").iterdir()}
    assert written == {"run.json", "run.html", "run.sarif", "badge.svg", "junit.xml"}
    assert "1 of 2 failed" in (project.path / "summary.md").read_text()


def test_every_input_of_the_action_is_used() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    text = str(action["runs"])

    assert [name for name in action["inputs"] if f"inputs.{name}" not in text] == []


def test_the_hook_fails_a_commit_with_a_broken_kernel(project: pytest.Pytester) -> None:
    pytest.importorskip("pre_commit")
    here = project.path
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    args = ["layer_norm=kernels:wrong", *QUICK]
    config = {"repos": [{"repo": "local", "hooks": [hooks[0] | {"args": args}]}]}
    (here / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PRE_COMMIT_HOME": str(here / "cache"), "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=here, check=True, capture_output=True, env=environment)

    git("init", "-q")
    git("add", ".")
    pre_commit = [sys.executable, "-m", "pre_commit"]
    done = command([*pre_commit, "run", "--all-files"], here, environment)
    checked = command([*pre_commit, "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")], here, environment)

    assert checked.returncode == 0
    assert done.returncode == 1
    assert "layer_norm kernels:wrong: eps-is-read does not hold" in done.stdout
