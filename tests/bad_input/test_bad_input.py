"""Input that is wrong in many ways: each ends in one sentence that says what would work, and in exit status 4."""

from __future__ import annotations

import json
import os
import random
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tomlkit

from normcheck import cli
from normcheck.bench.saved import NONE_SAVED, compare_to_saved
from normcheck.core.errors import UsageError
from normcheck.engine.accepted_file import read, require_writable, write
from normcheck.engine.claims import claims, conventions
from normcheck.engine.settings import Settings, isolation_limits, replayed_case
from normcheck.families import CHECKS_BY_NAME
from normcheck.report import files, schema
from normcheck.report.services.sarif import text as sarif_text

EXPECTED = "[[tool.normcheck.expected]]\n"
RIGHT = 'target = "m:f"\ncheck = "value"\nreason = "r"\n'
DEEP = 100_000

PROJECTS: dict[str, tuple[str | bytes, str]] = {
    "no TOML": ("[tool", "cannot be read"),
    "key twice": ("a = 1\na = 2\n", "cannot be read"),
    "no such day": (f"{EXPECTED}{RIGHT}until = 2027-02-31\n", "cannot be read"),
    "long integer": (f"a = {'9' * 5000}\n", "cannot be read"),
    "deep": (f"a = {'[' * DEEP}{']' * DEEP}", "nested too deeply"),
    "NUL": ("a = '\0'\n", "cannot be read"),
    "Latin 1": ("a = 'é'\n".encode("latin-1"), "is not UTF-8 (byte 6): save it as UTF-8"),
    "UTF-16": ("[tool]\n".encode("utf-16"), "is not UTF-8 (byte 1)"),
    "byte order mark": ("\ufeff[tool]\n", "cannot be read"),
    "binary": (b"\x00\x01\x02\xff", "is not UTF-8"),
    "tool is a number": ("tool = 1\n", "tool is an integer; write a table"),
    "tool is a list": ("tool = []\n", "tool is an array; write a table"),
    "normcheck is a text": ("[tool]\nnormcheck = 'x'\n", "normcheck is a string; write a table"),
    "normcheck is a truth": ("[tool]\nnormcheck = true\n", "normcheck is a boolean; write a table"),
    "normcheck is a time": ("[tool]\nnormcheck = 07:32:00\n", "normcheck is a time; write a table"),
    "normcheck is a list of tables": ("[[tool.normcheck]]\n", "normcheck is an array; write a table"),
    "unknown key": ("[tool.normcheck]\nexpectd = []\n", "did you mean 'expected'?"),
    "expected is a number": ("[tool.normcheck]\nexpected = 1\n", "is an integer; write a list of tables"),
    "expected is a float": ("[tool.normcheck]\nexpected = nan\n", "is a float; write a list of tables"),
    "expected is a table": ("[tool.normcheck.expected]\n", "is a table; write a list of tables"),
    "expected is a date-time": ("[tool.normcheck]\nexpected = 2027-01-01T00:00:00\n", "is a date-time; write a list"),
    "an entry is a text": ("[tool.normcheck]\nexpected = ['x']\n", "is a string; write a table"),
    "an entry is a list": ("[tool.normcheck]\nexpected = [[]]\n", "is an array; write a table"),
    "an entry is empty": (EXPECTED, "has no target"),
    "no check": (f'{EXPECTED}target = "m:f"\nreason = "r"\n', "has no check"),
    "blank reason": (f'{EXPECTED}target = "m:f"\ncheck = "value"\nreason = " \\t"\n', "has no reason"),
    "reason is a number": (f'{EXPECTED}target = "m:f"\ncheck = "value"\nreason = 12\n', "an integer as its reason"),
    "reason is false": (f'{EXPECTED}target = "m:f"\ncheck = "value"\nreason = false\n', "a boolean as its reason"),
    "target is a list": (f'{EXPECTED}target = ["m:f"]\ncheck = "value"\nreason = "r"\n', "an array as its target"),
    "check is a table": (f'{EXPECTED}target = "m:f"\ncheck = {{}}\nreason = "r"\n', "a table as its check"),
    "check is a date": (f'{EXPECTED}target = "m:f"\ncheck = 2027-01-31\nreason = "r"\n', "a date as its check"),
    "unknown check": (f'{EXPECTED}target = "m:f"\ncheck = "valeu"\nreason = "r"\n', "did you mean 'value'?"),
    "unknown key of an entry": (f"{EXPECTED}{RIGHT}kind = 'x'\n", "unknown key 'kind'"),
    "until is a text": (f"{EXPECTED}{RIGHT}until = '2027-01-31'\n", "write a date, as in until = 2027-01-31"),
    "until is a date-time": (f"{EXPECTED}{RIGHT}until = 2027-01-31T00:00:00Z\n", "write a date"),
    "until is a time": (f"{EXPECTED}{RIGHT}until = 00:00:00\n", "write a date"),
    "until is a number": (f"{EXPECTED}{RIGHT}until = 2027\n", "write a date"),
}
"""A pyproject.toml, and what is said of it."""

IMPLEMENTATION = ("implementations", 0)
FINDING = ("implementations", 1, "findings", 0)

CHANGED: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "version is a number": (("normcheck",), 1, "normcheck is no string"),
    "version is newer": (("normcheck",), "9.0", "written by normcheck 9.0, and this is 0.1.0: update it"),
    "version is newer in its last part": (("normcheck",), "0.1.1", "written by normcheck 0.1.1"),
    "environment is a list": (("environment",), [], "environment is no object"),
    "a version in it is a number": (("environment", "torch"), 2, "environment.torch is no string"),
    "settings is null": (("settings",), None, "settings is no object"),
    "unknown effort": (("settings", "effort"), "high", "settings.effort is none of smoke, quick, default, deep"),
    "implementations is a mapping": (("implementations",), {}, "implementations is no array"),
    "an implementation is null": (IMPLEMENTATION, None, "implementations[0] is no object"),
    "an implementation is empty": (IMPLEMENTATION, {}, "implementations[0] has no 'kind'"),
    "verdict is another": ((*IMPLEMENTATION, "verdict"), "good", "verdict is none of passed"),
    "verdict is a truth": ((*IMPLEMENTATION, "verdict"), True, "verdict is none of passed"),
    "target is null": ((*IMPLEMENTATION, "target"), None, "target is no string"),
    "compared is a text": ((*IMPLEMENTATION, "compared"), "5", "compared is no integer"),
    "compared is negative": ((*IMPLEMENTATION, "compared"), -1, "compared is below 0"),
    "compared is a truth": ((*IMPLEMENTATION, "compared"), True, "compared is no integer"),
    "seconds is too large": ((*IMPLEMENTATION, "seconds"), 10**400, "seconds is no number"),
    "row lacks a cell": ((*IMPLEMENTATION, "row"), {}, "row has no"),
    "a cell is a truth": ((*IMPLEMENTATION, "row", "case_rescaling"), True, "case_rescaling is none of invariant"),
    "a count is missing": ((*IMPLEMENTATION, "checks"), {"passed": 1}, "checks has no 'failed'"),
    "unknown key": ((*IMPLEMENTATION, "extra"), 1, "unknown key 'extra'"),
    "a key of control codes": ((*IMPLEMENTATION, "\x1b[2J::error::"), 1, "unknown key ': :error::'"),
    "findings is a number": ((*IMPLEMENTATION, "findings"), 3, "findings is no array"),
    "a finding is a text": (FINDING, "x", "findings[0] is no object"),
    "observed is a text": ((*FINDING, "observed"), "big", "observed is"),
    "where has a text": ((*FINDING, "where"), ["a"], "where[0] is no integer"),
    "case is a list": ((*FINDING, "case"), [], "case is no object"),
    "shape is a number": ((*FINDING, "case", "shape"), 5, "case.shape is no array"),
    "script is a text": ((*FINDING, "script"), "import torch", "script is no array"),
    "a warning is a text": ((*IMPLEMENTATION, "warnings"), ["w"], "warnings[0] is no object"),
    "a cause is empty": (("implementations", 1, "causes"), [{}], "causes[0] has no 'name'"),
    "speed is null": ((*IMPLEMENTATION, "speed"), None, "speed is no array"),
    "a curve has three values": (
        (*IMPLEMENTATION, "curves"), {"f": {"condition": [[1, 2, 3]], "width": []}}, "has 3 items",
    ),
}  # fmt: skip
"""A place in a run, what is put there, and what is said of the file."""

RUNS: dict[str, tuple[str | bytes | None, str]] = {
    "no file": (None, "cannot read"),
    "empty": ("", "is not JSON"),
    "half": ('{"normcheck": "0.1.0", "impl', "is not JSON"),
    "two documents": ("{}{}", "is not JSON"),
    "a list": ("[]", "is not a run of normcheck 0.1.0: the document is no object"),
    "null": ("null", "the document is no object"),
    "of another program": ('{"machine_info": {}, "benchmarks": []}', "the document has no 'normcheck'"),
    "of an older version": ('{"normcheck": "0.0.1", "results": []}', "save one with --norm-json"),
    "a newer version, and nothing else": ('{"normcheck": "12.3"}', "written by normcheck 12.3"),
    "deep": ("[" * DEEP + "]" * DEEP, "nested too deeply"),
    "deep objects": ('{"a":' * DEEP + "1" + "}" * DEEP, "nested too deeply"),
    "NaN": ('{"normcheck": NaN}', "it has NaN, which is no number of JSON"),
    "infinity": ('{"normcheck": -Infinity}', "it has -Infinity"),
    "long integer": ('{"normcheck": ' + "9" * 5000 + "}", "is not JSON"),
    "NUL": ('{"normcheck": "\0"}', "is not JSON"),
    "NUL bytes": (b"\0" * 100, "is not JSON"),
    "UTF-16": ('{"normcheck": "0.1.0"}'.encode("utf-16"), "is not UTF-8"),
    "Latin 1": ('{"normcheck": "é"}'.encode("latin-1"), "is not UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "is not UTF-8"),
}
"""A file, and what is said of it as a run."""


def _limits(*words: str) -> Callable[[], object]:
    return lambda: isolation_limits(*words)


def _claim(word: str, **declared: str) -> Callable[[], object]:
    def made() -> None:
        (one,) = claims([word], declared)
        if one.error:
            raise UsageError(one.error)

    return made


OPTIONS: dict[str, tuple[Callable[[], object], str]] = {
    "kind": (_claim("layernorm=m:f"), "did you mean 'layer_norm'?"),
    "no kind": (_claim("=m:f"), "is not KIND=TARGET"),
    "no attribute": (_claim("layer_norm=m"), "is neither package.module:attribute"),
    "empty": (_claim("layer_norm="), "is neither package.module:attribute"),
    "an expression": (_claim("layer_norm=m:f(open('x'))"), "is no literal"),
    "open parenthesis": (_claim("layer_norm=m:f("), "cannot be read as arguments"),
    "deep argument": (_claim(f"layer_norm=m:f({'[' * DEEP}"), "cannot be read as arguments"),
    "control codes": (_claim("\x1b[2J=m:f\x07"), "unknown"),
    "convention": (lambda: conventions(["esp=1"]), "did you mean 'eps'?"),
    "convention without a value": (lambda: conventions(["eps"]), "is not KEY=VALUE"),
    "value of a convention": (lambda: conventions(["eps-place=between"]), "eps-place"),
    "eps is no number": (lambda: conventions(["eps=small"]), "eps"),
    "effort": (lambda: Settings("high"), "unknown effort 'high'"),
    "seconds": (_limits("soon", "4", "60"), "are numbers"),
    "gigabytes": (_limits("30", "0", "60"), "are above 0"),
    "no end": (_limits("30", "4", "inf"), "are above 0, and finite"),
    "no number": (_limits("nan", "4", "60"), "are above 0, and finite"),
    "replay of nothing": (lambda: replayed_case(""), "there is no check ''"),
    "replay of no check": (lambda: replayed_case("valeu/n=3"), "did you mean 'value'?"),
    "replay without a value": (lambda: replayed_case("value/n"), "is no choice of a case"),
    "replay with a text": (lambda: replayed_case("value/n=three"), "'three' is no value"),
    "replay with a truth": (lambda: replayed_case("value/n=true"), "'true' is no value of n"),
    "replay with a fraction": (lambda: replayed_case("value/n=1.5"), "'1.5' is no value of n"),
    "replay with a list": (lambda: replayed_case("value/n=[3]"), "'[3]' is no value of n"),
    "replay with null": (lambda: replayed_case("value/n=null"), "'null' is no value of n"),
    "replay with NaN": (lambda: replayed_case("value/eps=NaN"), "'NaN' is no value"),
    "replay with infinity": (lambda: replayed_case("value/eps=1e999"), "'1e999' is no value of eps"),
    "replay with numbers for names": (lambda: replayed_case("value/layouts=[1]"), "'[1]' is no value of layouts"),
    "deep replay": (lambda: replayed_case(f"value/n={'[' * DEEP}"), "is no value"),
}
"""What options ask for, and what is said."""


def test_there_are_enough() -> None:
    assert len(PROJECTS) + len(CHANGED) + len(RUNS) + len(OPTIONS) >= 80


def sentence(action: Callable[[], object], capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> str:
    """What the command prints where it is asked for this; its exit status is 4, and it is one line."""
    monkeypatch.setattr(cli, "run", lambda arguments: action())
    monkeypatch.setattr("sys.argv", ["normcheck"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 4
    assert said.startswith("normcheck: ")
    assert said.count("\n") == 1
    assert len(said) < 5_000
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", said)
    return said


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project(name: str, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    content, says = PROJECTS[name]
    path = tmp_path / "pyproject.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)

    assert says in sentence(lambda: read(path, CHECKS_BY_NAME), capsys, monkeypatch)


@pytest.mark.parametrize("name", RUNS)
def test_a_run(name: str, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    content, says = RUNS[name]
    path = tmp_path / "old.json"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    assert says in sentence(lambda: files.read(path), capsys, monkeypatch)


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """A document with another value at one place."""
    if not place:
        return new
    first, *rest = place
    if isinstance(value, list):
        return [changed(one, tuple(rest), new) if i == first else one for i, one in enumerate(value)]
    return value | {first: changed(value.get(first), tuple(rest), new)}


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_run(name: str, document: dict[str, Any], tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    place, new, says = CHANGED[name]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(changed(document, place, new)))

    assert says in sentence(lambda: files.read(path), capsys, monkeypatch)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option(name: str, capsys: Any, monkeypatch: Any) -> None:
    action, says = OPTIONS[name]

    assert says in sentence(action, capsys, monkeypatch)


# In a session of pytest


@pytest.mark.parametrize(
    ("project", "words", "says"),
    [
        ("[tool.normcheck]\nexpected = 3\n", (), "is an integer; write a list of tables"),
        ("", ("--norm-accept", " "), "--norm-accept needs a reason"),
        ("", ("--norm-accept", "\udcff"), "the reason of --norm-accept is not UTF-8"),
        ("", ("--norm-baseline", "nothing.json"), "cannot read nothing.json"),
        ("", ("--norm-replay", "value/n=true"), "is no value of n"),
        ("", ("--norm-replay", "value/n=-3"), "no case has these choices"),
        ("", ("--norm-replay", "value/format=float3"), "no case has these choices"),
        ("", ("--norm-contract", "esp=1"), "did you mean 'eps'?"),
    ],
)
def test_a_session(pytester: pytest.Pytester, project: str, words: tuple[str, ...], says: str) -> None:
    (pytester.path / "pyproject.toml").write_text(f"{project}[tool.pytest.ini_options]\n")
    result = pytester.runpytest_inprocess(
        "--norm", "layer_norm=torch.nn.functional:layer_norm", "-q", "-p", "no:cacheprovider", *words
    )

    text = result.stdout.str() + result.stderr.str()
    assert result.ret == 4
    assert says in text
    assert "Traceback" not in text


def test_a_read_only_project_is_refused_before_the_run(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\n")
    path.chmod(0o444)

    assert "is read-only" in sentence(lambda: require_writable(path, "r"), capsys, monkeypatch)


def test_a_folder_in_the_place_of_a_project(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    (tmp_path / "pyproject.toml").mkdir()
    path = tmp_path / "pyproject.toml"

    assert "cannot read" in sentence(lambda: read(path, CHECKS_BY_NAME), capsys, monkeypatch)
    assert "cannot write" in sentence(lambda: require_writable(tmp_path / "pyproject.toml", "r"), capsys, monkeypatch)


# What is written

OTHER = '[[tool.mypy.overrides]]\nmodule = "x"  # a comment\n'
SHAPES = {
    "empty": "",
    "comments": '# top\n\n[project]  # here\nname = "x"\n# the end\n',
    "no last newline": '[project]\nname = "x"',
    "an empty list": "[tool.normcheck]\nexpected = []  # none yet\n\n[tool.ruff]\nline-length = 3\n",
    "tables": f"{EXPECTED}{RIGHT}",
    "tables in the middle": f"{EXPECTED}{RIGHT}\n# note\n[tool.ruff]\nx = 1\n",
    "tables out of order": f"[tool.a]\nx = 1\n[project]\nn = 1\n{EXPECTED}{RIGHT}[tool.b]\ny = 1\n{OTHER}",
    "an inline table": "[tool]\nnormcheck = {expected = []}\n",
    "inline tables": 'tool = {normcheck = {expected = [{target="a:b", check="value", reason="r"}]}}\n',
    "another inline table": "tool = {a = 1}\n",
    "an inline table with nothing": "[tool]\nnormcheck = {}\n",
    "dotted keys": "tool.normcheck.expected = []\n",
    "dotted keys in a table": "[tool]\nnormcheck.expected = []\n[project]\nx = 1\n",
    "other dotted keys": "tool.a.b = 1\n",
    "a list over lines": '[tool.normcheck]\nexpected = [\n  # why\n  {target="a:b", check="value", reason="r"},\n]\n',
    "an empty table": "[tool.normcheck]\n[project]\nx = 1\n",
    "a table with a table of its own": "[tool.normcheck]\nstrict = true\n[tool.normcheck.contract]\n[tool.z]\ny = 1\n",
    "a table of its own alone": "[project]\nn = 1\n[tool.normcheck.contract]\n[tool.z]\ny = 1\n",
    "a table before its tables": f"[tool.normcheck]\n[project]\nx = 1\n[tool.z]\ny = 1\n{EXPECTED}{RIGHT}[y]\n",
    "Windows": "[tool.a]\r\nx = 1\r\n",
    "mixed line ends": '[tool.a]\r\nx = 1\ny = """a\nb"""\n',
    "quoted keys": "['tool'.\"a\"]\nx = 1\n",
}
"""Ways to write a pyproject.toml."""

REASONS = ("known 😀", 'it\'s "so"', "a\\b", "two\nlines", "\x00\x07\x7f", "\u2028 é", " padded ")


@pytest.mark.parametrize("name", SHAPES)
def test_an_accepted_finding_is_added_and_all_else_stays(name: str, tmp_path: Path) -> None:
    """Read again it is what it was, with one entry more; every line that was there is there, in its order."""
    before = SHAPES[name]
    for reason in REASONS:
        path = tmp_path / "pyproject.toml"
        path.write_bytes(before.encode())
        path.chmod(0o640)
        assert write(path, [("./a 'b'.py:f", "sign"), ("./a 'b'.py:f", "sign")], reason) == 1
        after = path.read_bytes().decode()

        entries = _entries(tomllib.loads(after))
        assert entries[:-1] == _entries(tomllib.loads(before))
        assert entries[-1] == {"target": "./a 'b'.py:f", "check": "sign", "reason": reason}
        assert {k: v for k, v in tomllib.loads(after).items() if k != "tool"} == {
            k: v for k, v in tomllib.loads(before).items() if k != "tool"
        }
        comments = re.findall(r"#.*", before)
        assert [one for one in re.findall(r"#.*", after) if one in comments] == comments
        if "\n" not in before.replace("\r\n", "") and "\r\n" in before:
            assert "\n" not in after.replace("\r\n", "")
        assert path.stat().st_mode & 0o777 == 0o640
        assert read(path, CHECKS_BY_NAME)[-1].reason == reason
        assert write(path, [("./a 'b'.py:f", "sign")], reason) == 0
        assert path.read_bytes().decode() == after
    assert [one.name for one in tmp_path.iterdir()] == ["pyproject.toml"]


def _entries(content: dict[str, Any]) -> list[Any]:
    return list(content.get("tool", {}).get("normcheck", {}).get("expected", []))


def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path: Path, monkeypatch: Any) -> None:
    """A full disk: the old file is whole, and nothing is left beside it."""
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write(path, [("m:f", "value")], "r")
    assert path.read_text() == "[project]\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("made", ["[project]\nname = 'y'\n", "[project", "", ValueError("a bug of tomlkit")])
def test_an_edit_that_means_anything_else_replaces_nothing(tmp_path: Path, monkeypatch: Any, made: Any) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\nname = 'x'\n")

    def dumps(document: Any) -> str:
        if isinstance(made, Exception):
            raise made
        return str(made)

    monkeypatch.setattr(tomlkit, "dumps", dumps)
    with pytest.raises(UsageError, match=r"write \[\[tool.normcheck.expected\]\] tables at its end by hand"):
        write(path, [("m:f", "value")], "r")
    assert path.read_text() == "[project]\nname = 'x'\n"


def test_a_link_stays_a_link_and_a_new_file_is_made(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "pyproject.toml"
    real.write_text("")
    link.symlink_to(real)
    assert write(link, [("m:f", "value")], "r") == 1
    assert link.is_symlink()
    assert "m:f" in real.read_text()

    assert write(tmp_path / "new.toml", [("m:f", "value")], "r") == 1
    assert read(tmp_path / "new.toml", CHECKS_BY_NAME)[0].target == "m:f"


@pytest.mark.parametrize(
    "saved",
    [
        {}, {"benchmarks": None}, {"benchmarks": [None, 3, {"extra_info": []}]}, {"machine_info": [], "benchmarks": {}},
        {"benchmarks": [{"extra_info": {"ratio": 1.0}}]},
        {"benchmarks": [{"extra_info": {"ratio": {"low": "a", "high": None}}}]},
        {"benchmarks": [{"extra_info": {"ratio": {"low": 1.0, "high": float("nan")}}}]},
        {"machine_info": {"cpu": 4, "normcheck": "x"}},
    ],
)  # fmt: skip
def test_times_of_another_program_are_passed_over(saved: dict[str, Any]) -> None:
    entry = {"ratio": {"low": 1.0, "high": 1.1}}

    assert compare_to_saved(entry, [("0001_old.json", saved)], {}, 1.1).verdict == NONE_SAVED


# The schema, and what it lets through

JUNK = (None, True, 0, -1, 1.5, 10**400, "", "x", "::error::\x1b", "\ud800", [], {}, [1], ["x"], {"a": 1}, [[1, 2]])


def _places(value: Any, place: tuple[Any, ...] = ()) -> Any:
    yield place
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(item, (*place, key))


def test_the_reader_and_jsonschema_say_the_same(document: dict[str, Any]) -> None:
    """On the run and on a thousand that differ from it at one place."""
    other = jsonschema.Draft202012Validator(json.loads((Path(schema.__file__).parent / "schema.json").read_text()))
    rng, places = random.Random(7), list(_places(document))
    judged = {True: 0, False: 0}
    for _ in range(1_000):
        new = rng.choice([one for one in JUNK if one != 10**400])  # a number for jsonschema, and for no float
        made = changed(document, rng.choice(places), new)
        good = not schema.violation(made)
        assert good == other.is_valid(made)
        judged[good] += 1
    assert not schema.violation(document)
    assert min(judged.values()) > 50


def test_the_reader_knows_every_keyword_of_the_schema() -> None:
    def keywords(of: Any) -> Any:
        if not isinstance(of, dict):
            return
        yield from of
        for key, inner in of.items():
            named = list(inner.values()) if key in ("properties", "$defs") else inner
            for one in named if isinstance(named, list) else [named]:
                yield from keywords(one)

    assert set(keywords(schema.schema())) <= schema.KEYWORDS


def test_what_is_read_can_be_shown(document: dict[str, Any], tmp_path: Path) -> None:
    """A run that differs at one place is refused in a sentence, or every form can be made of it."""
    rng, places, path = random.Random(11), list(_places(document)), tmp_path / "old.json"
    shown = 0
    for _ in range(400):
        path.write_text(json.dumps(changed(document, rng.choice(places), rng.choice(JUNK))))
        try:
            run = files.read(path)
        except UsageError:
            continue
        shown += 1
        for form in ("json", "sarif", "gitlab", "badge", "markdown"):
            text = files.text(run, form, Path("x.svg"), tmp_path)
            assert not re.search(r"\x1b|\ud800", text)
    assert shown > 50
    assert sarif_text(document, path, tmp_path)
