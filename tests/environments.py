"""Whether normcheck works where people install it: other versions of Python, lowest versions, beside other plugins.

    python tests/environments.py [--only WORD ...]

Each environment is made new, with a wheel of this checkout; each judges the same right and wrong function. Interpreters
are looked for on the path, with uv, and in the versions of pyenv; one that is not at hand is written as skipped. Prints
a line for each environment, and exits with 1 if one of them judged otherwise than expected. Frameworks are installed
anew in each, which takes some gigabytes of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
PLUGINS: dict[str, tuple[str, ...]] = {
    "pytest-randomly": (),
    "pytest-timeout": ("--timeout", "120"),
    "pytest-cov": ("--cov", "mine"),
    "pytest-asyncio": (),
    "pytest-rerunfailures": ("--reruns", "2"),
    "pytest-sugar": (),
    "pytest-split": ("--splits", "1", "--group", "1"),
    "pytest-forked": ("--forked", "-k", "a_call or conventions or value or moments"),
}
"""Other plugins, each with the options under which it does something. A copy of a process for each test is slow."""

LATEST: dict[str, str] = {"pytest-forked": "pytest<9"}
"""Plugins that no newer pytest serves: pytest-forked cannot write the reports of pytest 9."""

MINE = """
import torch

def right(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)

def unbiased(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    y = (x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True) + eps).sqrt()
    y = y if weight is None else y * weight
    return y if bias is None else y + bias
"""
EXPECTED = {"right": (0, "passed", []), "unbiased": (1, "failed", ["variance-unbiased"])}


@dataclass(frozen=True)
class Environment:
    """One way to have normcheck installed and called."""

    name: str
    python: str | None = sys.executable
    packages: tuple[str, ...] = ("-c", str(ROOT / "constraints.txt"))  # what pip is given beside the wheel
    options: tuple[str, ...] = ()
    variables: Mapping[str, str | None] = field(default_factory=dict)  # of the environment; None: it is removed
    writable: bool = True  # whether files can be made in the project


def interpreter(version: str) -> str | None:
    """The path of a Python of a version, or None where there is none."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{version}")
    if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
        return found  # it is no placeholder of a manager of versions
    if uv := shutil.which("uv"):
        asked = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            return asked.stdout.strip()
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return next((str(path) for path in sorted(kept.glob(f"{version}.*/bin/python"))), None)


def lowest() -> tuple[str, ...]:
    """The dependencies at the lowest versions that the project names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return tuple(one.replace(">=", "==") for one in project["dependencies"])


def environments() -> Iterator[Environment]:
    for version in VERSIONS:
        yield Environment(f"Python {version}", interpreter(version))
    yield Environment("lowest versions", packages=lowest())
    yield Environment("read-only folder, no HOME", variables={"HOME": None}, writable=False)
    yield Environment("no bytecode written", variables={"PYTHONDONTWRITEBYTECODE": "1"})
    for name, options in PLUGINS.items():
        older = (LATEST[name],) if name in LATEST else Environment.packages
        yield Environment(name, packages=(*older, name), options=options)


def judged(python: str, project: Path, out: Path, name: str, one: Environment) -> tuple[int, str, list[str]]:
    """Exit status, verdict and causes of a run."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))}
    variables |= {key: value for key, value in one.variables.items() if value is not None}
    for key, value in one.variables.items():
        if value is None:
            variables.pop(key, None)
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "--norm", f"layer_norm=mine.py:{name}", "--norm-effort", "quick",
         "--norm-json", str(out), *one.options],
        cwd=project, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not out.exists():
        return done.returncode, (done.stdout + done.stderr)[-2000:], []
    (record,) = json.loads(out.read_text(encoding="utf-8"))["implementations"]
    out.unlink()
    return done.returncode, record["verdict"], [cause["name"] for cause in record["causes"]]


def check(one: Environment, wheel: Path, folder: Path) -> list[str]:
    """What differs from what is expected in an environment, a sentence each."""
    project, home = folder / "project", folder / "environment"
    project.mkdir()
    (project / "mine.py").write_text(MINE, encoding="utf-8")
    assert one.python is not None
    subprocess.run([one.python, "-m", "venv", home], check=True)
    python = str(home / "bin" / "python")
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", str(wheel), *one.packages], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        return [f"not installed: {installed.stderr.strip().splitlines()[-1]}"]
    if not one.writable:
        project.chmod(0o555)
    found = {name: judged(python, project, folder / "out.json", name, one) for name in EXPECTED}
    project.chmod(0o755)
    return [f"{name}: {found[name]}, expected {EXPECTED[name]}" for name in EXPECTED if found[name] != EXPECTED[name]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="environments whose name contains one")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "build", "-w", "-o", folder, str(ROOT)], check=True, stdout=subprocess.DEVNULL
        )
        (wheel,) = Path(folder).glob("*.whl")
        for i, one in enumerate(environments()):
            if options.only and not any(word in one.name for word in options.only):
                continue
            if one.python is None:
                print(f"{one.name}: skipped, no such interpreter is at hand", flush=True)
                continue
            own = Path(folder) / str(i)
            own.mkdir()
            found = check(one, wheel, own)
            shutil.rmtree(own)
            wrong += bool(found)
            print(f"{one.name}: {'; '.join(found) or 'as expected'}", flush=True)
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
