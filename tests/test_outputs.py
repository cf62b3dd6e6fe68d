"""Files of a run: tried before it, written whole or not at all, each by itself; and the journal beside the document."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from normcheck import cli
from normcheck.core.atomic_write import atomic_write, is_device, try_write
from normcheck.core.errors import UsageError
from normcheck.engine import journal
from normcheck.pytest_plugin import journal_file
from normcheck.pytest_plugin.journal_file import JournalFile
from normcheck.report import files

MINE = """
import torch

broken = False


def wrong(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, 2 * eps)


def sound(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)
"""
SOUND, WRONG = "layer_norm=mine.py:sound", "layer_norm=mine.py:wrong"
FEW = "test_call or test_conventions or value or moments or sign or eps-is-read"
QUICK = ("-q", "-p", "no:cacheprovider", "--norm-effort", "quick", "-k", FEW)
JOURNAL = "out.json.partial.jsonl"

STOPS = """
events = []

def pytest_normcheck_event(event):
    events.append(event)
    if len(events) == {at}:
        raise KeyboardInterrupt
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> Iterator[pytest.Pytester]:
    pytester.makepyfile(mine=MINE)
    yield pytester
    for name in [name for name in sys.modules if name.startswith("_normcheck_target_mine")]:
        del sys.modules[name]


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_inprocess(*QUICK, *args, no_reraise_ctrlc=True)


def stopped(project: pytest.Pytester, at: int, *args: str) -> None:
    """A run that is interrupted at one of its events."""
    project.makeconftest(STOPS.format(at=at))
    assert run(project, "--norm-json", "out.json", *args).ret == 2
    (project.path / "conftest.py").unlink()


def record(project: pytest.Pytester) -> dict[str, Any]:
    (one,) = json.loads((project.path / "out.json").read_text())["implementations"]
    return one | {"seconds": 0}


# Before the run


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--norm-json", "folder"], "cannot write folder (json): it is a folder: name a file in it"),
        (["--norm-html", "file/out.html"], "cannot write file/out.html (html): what should be its folder is a file"),
        (["--norm-badge", "file/a/b"], "cannot write file/a/b (badge): what should be its folder is a file"),
        (["--norm-sarif", "locked"], "cannot write locked (sarif): it may not be written"),
        (["--norm-json", "x", "--norm-markdown", "./x"], "x is named for json and for markdown: name two files"),
    ],
)
def test_a_file_is_tried_before_the_run(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    (project.path / "folder").mkdir()
    (project.path / "file").write_text("content")
    (project.path / "locked").write_text("content")
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked" and allowed(path, mode))
    result = run(project, "--norm", SOUND, *words)

    assert result.ret == 4
    assert sentence in result.stderr.str()
    assert "passed" not in result.stdout.str()
    assert (project.path / "file").read_text() == (project.path / "locked").read_text() == "content"


def test_a_trial_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("content")
    for name in ("old", "new", "deeper/new"):
        try_write(tmp_path / name)
    try_write(Path(os.devnull))

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deeper", "old"]
    assert (tmp_path / "old").read_text() == "content"


# Whole or not at all


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "real"
    place.write_text("before")
    place.chmod(0o640)
    (tmp_path / "link").symlink_to(place)
    atomic_write(tmp_path / "link", b"after")
    atomic_write(Path(os.devnull), b"anything")

    assert place.read_text() == "after"
    assert place.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link").is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_file_that_cannot_be_written_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "out").write_text("before")
    monkeypatch.setattr(*((os, "fsync", full) if step == "fsync" else (Path, "replace", full)))
    with pytest.raises(OSError, match="No space left"):
        atomic_write(tmp_path / "out", b"after")
    with pytest.raises(UsageError, match="out: No space left on device"):
        files.write({"implementations": []}, "json", tmp_path / "out", tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "before"


def test_what_is_open_is_written_to(tmp_path: Path) -> None:
    """/dev/stderr may be a pipe, which has no place in a folder, or a file to which others write too."""
    shared = tmp_path / "shared.txt"
    shared.write_text("before\n")
    code = (
        "from pathlib import Path; from normcheck.core.atomic_write import *; p = Path('/dev/stderr'); try_write(p); "
    )
    code += "atomic_write(p, b'written')"
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    with shared.open("ab") as file:
        subprocess.run([sys.executable, "-c", code], stderr=file, check=True)

    assert piped.stderr == b"written"
    assert shared.read_text() == "before\nwritten"
    assert not is_device(Path("/dev/shm/out.json"))


def test_a_full_disk_costs_one_file(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are written, the failure is reported, the status is 4, and the journal is kept."""
    whole = atomic_write

    def full(path: Path, data: bytes) -> None:
        if path.name == "out.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(path, data)

    (project.path / "out.json").write_text("before")
    monkeypatch.setattr(files, "atomic_write", full)
    outputs = ("--norm-json", "out.json", "--norm-markdown", "out.md", "--norm-badge", "badge.svg")
    result = run(project, "--norm", SOUND, *outputs)

    assert result.ret == 4
    assert (project.path / "out.json").read_text() == "before"
    assert "1 passed" in (project.path / "badge.svg").read_text()
    result.stdout.fnmatch_lines([
        "not written: cannot write out.json: No space left on device", "written: badge.svg", "written: out.md",
        f"kept: {JOURNAL}, to go on with --norm-resume {JOURNAL}",
    ])  # fmt: skip
    assert cli.run(["report", JOURNAL, "--json", "again.json"]) == 0
    (one,) = json.loads((project.path / "again.json").read_text())["implementations"]
    assert one["verdict"] == "passed"


def test_a_form_that_cannot_be_made_costs_no_other(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normcheck.report.services.gitlab.text", lambda *of: 1 / 0)
    result = run(project, "--norm", SOUND, "--norm-gitlab", "gl.json", "--norm-sarif", "out.sarif")

    assert result.ret == 4
    assert (project.path / "out.sarif").exists()
    assert not (project.path / "gl.json").exists()
    result.stdout.fnmatch_lines(["not written: cannot make gl.json: ZeroDivisionError: division by zero"])


def test_a_report_writes_each_form(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    run(project, "--norm", SOUND, "--norm-json", "out.json")
    with pytest.raises(UsageError, match=r"cannot write \. \(badge\): it is a folder"):
        cli.run(["report", "out.json", "--badge", ".", "--markdown", "out.md"])

    assert not (project.path / "out.md").exists()
    assert cli.run(["report", "out.json", "--badge", "b.svg", "--markdown", "out.md"]) == 0
    assert capsys.readouterr().out.endswith("written: b.svg\nwritten: out.md\n")


# The journal


def test_a_journal_goes_with_its_run(project: pytest.Pytester) -> None:
    """While the run lasts it has what was answered; afterwards the document has."""
    project.makeconftest(
        "from pathlib import Path\n"
        "from normcheck.core.events import CheckDone\n"
        "seen = []\n"
        "def pytest_normcheck_event(event):\n"
        "    if isinstance(event, CheckDone):\n"
        "        seen.append(event.outcome.check)\n"
        "        text = Path('out.json.partial.jsonl').read_text()\n"
        "        assert text.count('check done') == len(seen)\n"
    )

    assert run(project, "--norm", SOUND, "--norm-json", "out.json").ret == 0
    assert not (project.path / JOURNAL).exists()
    (project.path / "conftest.py").unlink()
    assert run(project, "--norm", SOUND).ret == 0
    assert list(project.path.glob("*.jsonl")) == []


def test_a_journal_is_read_as_a_run(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one whose last line was not written whole, and of which no line says how it ended."""
    stopped(project, 8, "--norm", SOUND)
    path = project.path / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    for kept, ended in ((lines, "interrupted: KeyboardInterrupt"), ([*lines[:-1], lines[-2][:40]], journal.KILLED)):
        path.write_bytes(b"".join(kept))
        assert cli.run(["report", JOURNAL, "--json", "read.json", "--badge", "read.svg"]) == 0
        found = json.loads((project.path / "read.json").read_text())
        (one,) = found["implementations"]
        assert (found["complete"], found["ended"], one["verdict"]) == (False, ended, "incomplete")
        assert (one["checks"]["passed"], len(one["missing"])) == (4, 3)
        assert "1 of 1 incomplete" in (project.path / "read.svg").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "", "{}\n", "[1]\n", "\xff\n", '{"event": 1}\n', '{"run": 3}\n', "[" * 9999 + "\n",
        '{"run": {"planned": [1]}}\n', '{"run": {"settings": 1}}\n',
    ],
)  # fmt: skip
def test_another_file_is_no_journal(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"is no journal of a run: name the FILE\.partial\.jsonl"):
        journal.read(path)
    with pytest.raises(UsageError, match="cannot read"):
        journal.read(tmp_path / "nowhere")


def test_what_stands_before_a_broken_line_is_kept(project: pytest.Pytester) -> None:
    stopped(project, 8, "--norm", SOUND)
    path = project.path / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-3], b"\0" * 50 + b"\n", *lines[-3:]]))
    found = journal.read(path)

    assert found.ended is None
    assert len(found.answered()) == 4


def test_a_journal_of_another_version_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"run": {"normcheck": "0.0.7"}}\n')
    with pytest.raises(UsageError, match=r"was written by normcheck 0\.0\.7, and this is"):
        journal.read(path)


def test_a_line_that_fails_is_written_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And half of a line is taken back."""
    whole = journal_file.write_all
    file = JournalFile(tmp_path / "out", [{"line": 0}])

    def half(to: Any, data: bytes) -> None:
        whole(to, data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    file.write({"line": 1})
    monkeypatch.setattr(journal_file, "write_all", half)
    file.write({"line": 2})
    file.write({"line": 3})
    assert [json.loads(line)["line"] for line in (tmp_path / "out").read_text().splitlines()] == [0, 1]
    assert not file.whole
    monkeypatch.setattr(journal_file, "write_all", whole)
    file.write({"line": 4})

    assert file.whole
    file.close(remove=False)
    assert [json.loads(line)["line"] for line in (tmp_path / "out").read_text().splitlines()] == [0, 1, 2, 3, 4]


# Going on


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_run_goes_on(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """It asks what has no answer, and ends as a run that was never ended; findings of before count."""
    words = ("--norm", WRONG, "--norm-json", "out.json")
    assert run(project, *words).ret == 1
    whole = record(project)
    stopped(project, 8, "--norm", WRONG)
    answered = sum(record(project)["checks"].values())
    assert 0 < answered < sum(whole["checks"].values())

    again = project.runpytest_subprocess if workers else project.runpytest_inprocess
    result = again(*QUICK, *words, "--norm-resume", "out.json", *workers)
    assert result.ret == 1
    assert sum(result.parseoutcomes().get(word, 0) for word in ("passed", "failed", "same")) == 7 - answered
    same = ("verdict", "checks", "missing", "deselected", "row")
    assert {key: record(project)[key] for key in same} == {key: whole[key] for key in same}
    assert {one["check"] for one in record(project)["findings"]} == {one["check"] for one in whole["findings"]}
    assert not (project.path / JOURNAL).exists()


def test_a_run_that_is_over_goes_on_with_nothing(project: pytest.Pytester) -> None:
    """Its status is that of its findings, though no test is run."""
    for word, status in ((SOUND, 0), (WRONG, 1)):
        stopped(project, 13, "--norm", word)  # at its last answer
        result = run(project, "--norm", word, "--norm-json", "out.json", "--norm-resume", JOURNAL)
        assert result.ret == status
        assert record(project)["missing"] == {}
        result.stdout.fnmatch_lines([f"*mine.py:*: {'passed' if word == SOUND else 'failed'}*"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--norm-seed", "7"], "seed was unset in that run and is 7 now: repeat its options"),
        (["--norm-strict"], "strict was False in that run and is True now"),
        (["--norm-contract", "eps-place=outside"], "contracts was layer_norm=mine.py:sound in that run and is"),
    ],
)
def test_another_run_does_not_go_on(project: pytest.Pytester, words: list[str], sentence: str) -> None:
    stopped(project, 8, "--norm", SOUND)
    result = run(project, "--norm", SOUND, "--norm-resume", JOURNAL, *words)

    assert result.ret == 4
    assert sentence in result.stderr.str()


def test_changed_code_does_not_go_on(project: pytest.Pytester) -> None:
    stopped(project, 8, "--norm", SOUND)
    project.makepyfile(mine=MINE + "\n# changed\n")
    result = run(project, "--norm", SOUND, "--norm-resume", JOURNAL)

    assert result.ret == 4
    assert "mine.py:sound has changed since that run" in result.stderr.str()
