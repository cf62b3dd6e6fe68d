"""The output of a run at the end of a pytest session: files in the requested forms, and annotations for CI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from normcheck.core.errors import UsageError
from normcheck.pytest_plugin.stash_keys import RESUMED, SUITE

FORMS = ("json", "html", "sarif", "gitlab", "badge", "markdown")
"""The forms of `report.files`, which is imported only when something is written."""


def add_options(group: pytest.OptionGroup) -> None:
    """An option for each form of file, and one for a baseline."""
    helps = {
        "json": "write the run as a JSON document",
        "html": "write the run as one self-contained page (pip install 'normcheck[report]')",
        "sarif": "write the causes of findings as SARIF, for code-scanning services",
        "gitlab": "write the causes of findings as a code-quality report of GitLab",
        "badge": "write a badge: an SVG picture for a FILE.svg, else JSON for shields.io",
        "markdown": "write the run as markdown",
    }
    for form in FORMS:
        group.addoption(f"--norm-{form}", metavar="FILE", help=helps[form])
    group.addoption(
        "--norm-resume", metavar="FILE",
        help="go on with a run that did not reach its end: FILE.partial.jsonl, as --norm-json FILE leaves it then",
    )  # fmt: skip
    group.addoption(
        "--norm-baseline", metavar="RUN.json",
        help="a run saved with --norm-json: what it found is known, and only what is new fails",
    )  # fmt: skip


def _requested(config: pytest.Config) -> Iterator[tuple[str, Path]]:
    for form in FORMS:
        name = config.getoption(f"norm_{form}")
        if name:
            yield form, Path(name)


def asked_for(config: pytest.Config) -> bool:
    """Whether files are to be written, or a run to be continued."""
    return bool(config.getoption("norm_resume")) or any(_requested(config))


def prepare(config: pytest.Config) -> None:
    """Raises `UsageError` before the run if a form cannot be written."""
    if any(_requested(config)):
        from normcheck.report import files

        files.require_places(_requested(config))


def resume(config: pytest.Config) -> None:
    """Read the run that this one goes on from. Raises `UsageError` if it cannot be continued."""
    if not config.getoption("norm_resume"):
        return
    if SUITE not in config.stash:
        raise UsageError("--norm-resume goes on with a run of the suite: repeat its options, --norm KIND=TARGET first")
    from normcheck.pytest_plugin import selection
    from normcheck.pytest_plugin.resume import resumed

    if not hasattr(config, "workerinput"):
        config.stash[RESUMED] = resumed(config, config.stash[SUITE])
    selection.settle(config, config.stash.get(RESUMED, (None, set()))[1])


def write(config: pytest.Config, run: dict[str, Any]) -> dict[Path, str]:
    """Write the requested files, and the summary of a job of GitHub Actions.

    Returns their paths: empty for one that was written, else why it was not.
    """
    from normcheck.report import files

    written = files.write_each(run, _requested(config), config.rootpath)
    summary = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if _on_github() and summary:
        try:
            text = files.text(run, "markdown", Path(summary), config.rootpath)
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            written[Path(summary)] = f"cannot write {summary}: {error.strerror}"
    return written


def lines(config: pytest.Config, run: dict[str, Any], written: dict[Path, str]) -> Iterator[str]:
    """Lines for the terminal: files, entries of the baseline that no longer occur, annotations for GitHub.

    written: what `write` returned.
    """
    from normcheck.report.services import github

    for path, failure in written.items():
        yield f"not written: {failure}" if failure else f"written: {path}"
    baseline = config.getoption("norm_baseline")
    if baseline:
        yield from _stale(run, baseline)
    if _on_github():
        yield from github.commands(run, config.rootpath)


def _stale(run: dict[str, Any], baseline: str) -> Iterator[str]:
    known = sum(len(one["expected_findings"]) for one in run["implementations"])
    failing = sum(len(one["findings"]) for one in run["implementations"])
    gone = [
        f"{one['kind']} {one['target']}: {what.removeprefix('baseline: ')}"
        for one in run["implementations"]
        for what in one["information"]
        if what.startswith("baseline: ")
    ]
    yield f"baseline: {failing} new, {known} known, {len(gone)} gone ({baseline})"
    yield from (f"baseline: gone: {what}" for what in gone)
    if gone:
        yield f"baseline: save it anew with --norm-json {baseline}"


def properties(outcomes: list[Any]) -> list[tuple[str, object]]:
    """The properties of a test in a JUnit report, from its outcomes."""
    out: list[tuple[str, object]] = []
    for o in outcomes:
        head = f"{o.kind} {o.target} {o.check}"
        out += [(f"{head}: status", o.status), (f"{head}: compared", o.compared), (f"{head}: share", o.bound_ratio)]
        out += [(f"{head}: replay", o.finding.replay)] if o.finding else []
        out += [(f"{head}: cause", o.finding.cause)] if o.finding else []
        out += [(f"{head}: looks like", ", ".join(o.diagnosis))] if o.diagnosis else []
        out += [(f"{head}: expected", o.expected)] if o.expected else []
    return out


def _on_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"
