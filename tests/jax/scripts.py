"""Scripts of findings, run as a user would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RUN_ALL = """
import runpy, sys
import jax

for path in sys.argv[1:]:
    jax.config.update("jax_enable_x64", False)  # as in a process of its own
    runpy.run_path(path)
print(sorted({"torch", "normcheck"} & set(sys.modules)))
"""


def run(code: str, *arguments: str) -> list[str]:
    """The lines that code prints in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()


def numbers_of(scripts: Sequence[str], folder: Path) -> list[float]:
    """The numbers that scripts print; they import neither normcheck nor torch."""
    paths = [folder / f"script_{i}.py" for i in range(len(scripts))]
    for path, code in zip(paths, scripts, strict=True):
        path.write_text(code, encoding="utf-8")
    *printed, imported = run(RUN_ALL, *map(str, paths))
    assert imported == "[]"
    return [float(one) for one in printed]
