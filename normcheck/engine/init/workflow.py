"""A workflow of GitHub that runs the tests of a project, and with them the checks of its normalizers."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(".github") / "workflows"
OTHER_SERVICES = (".gitlab-ci.yml", ".travis.yml", "azure-pipelines.yml", "Jenkinsfile", ".circleci")
"""Files of other services: a project that has one is not given a workflow of GitHub."""

WORKFLOW = """\
name: normcheck
on: [push, pull_request]
jobs:
  normcheck:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install{installs} normcheck
      - run: python -m pytest
"""


def missing(folder: Path) -> tuple[Path, str] | None:
    """The file and text of the workflow; None where the tests of the project run in a service already."""
    some = (folder / FOLDER).glob("*.y*ml") if (folder / FOLDER).is_dir() else ()
    if any("pytest" in path.read_text("utf-8", errors="replace") for path in some):
        return None
    if any((folder / name).exists() for name in OTHER_SERVICES):
        return None
    return folder / FOLDER / "normcheck.yml", WORKFLOW.format(installs=_installs(folder))


def _installs(folder: Path) -> str:
    """What pip installs beside normcheck."""
    if (folder / "setup.py").exists() or _builds(folder / "pyproject.toml"):
        return " -e ."
    return " -r requirements.txt" if (folder / "requirements.txt").exists() else " torch"


def _builds(path: Path) -> bool:
    return path.exists() and any(
        line.startswith(("[project]", "[build-system]")) for line in path.read_text("utf-8").splitlines()
    )
