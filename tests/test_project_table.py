"""[tool.normcheck] of a pyproject.toml: read strictly, with the line of a mistake, and followed by a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from normcheck.core.errors import UsageError
from normcheck.engine.accepted_file import read
from normcheck.engine.project_table import ProjectTable, project_table

TABLE = """\
[tool.normcheck]
implementations = ["layer_norm=layers:layer_norm", "rms_norm[weight=1+w]=layers:gemma"]
packages = ["marked"]
contract = { eps-place = "inside" }
effort = "smoke"
strict = true
"""

LAYERS = """\
import torch
def layer_norm(x, weight, bias, eps=1e-5):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)
def gemma(x, weight, eps=1e-6):
    return torch.nn.functional.rms_norm(x, x.shape[-1:], 1.0 + weight, eps)
"""

MARKED = """\
import normcheck, torch
@normcheck.normalizer("group_norm")
class GroupNorm(torch.nn.GroupNorm):
    pass
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


def test_all_keys(tmp_path: Path) -> None:
    assert project_table(written(tmp_path, TABLE)) == ProjectTable(
        ("layer_norm=layers:layer_norm", "rms_norm[weight=1+w]=layers:gemma"),
        ("marked",), {"eps-place": "inside"}, "smoke", strict=True,
    )  # fmt: skip
    assert project_table(written(tmp_path, "[project]\nname = 'normcheck'\n")) == ProjectTable()
    assert project_table(tmp_path / "nothing.toml") == ProjectTable()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tool.normcheck]\n\nefort = 'quick'", "pyproject.toml, line 3: [tool.normcheck] has an unknown key 'efort'"),
        ("[tool.normcheck]\neffort = 1", "line 2: effort of [tool.normcheck] is an integer; write a text"),
        ("[tool.normcheck]\nstrict = 'yes'", "line 2: strict of [tool.normcheck] is a string; write true or false"),
        ("[tool.normcheck]\npackages = 'mypkg'", 'line 2: packages of [tool.normcheck] is a string; write a list of '
         'texts, as in packages = ["mypkg"]'),
        ("[tool.normcheck]\nimplementations = [1]", "line 2: implementations of [tool.normcheck] is an array"),
        ("[tool.normcheck]\n[tool.normcheck.contract]\neps = 1", "line 2: contract of [tool.normcheck] is no table of"),
        ("[tool]\nnormcheck = 3", "pyproject.toml: normcheck is an integer; write a table"),
        ("tool.normcheck.effort = 3", "pyproject.toml: effort of [tool.normcheck] is an integer"),
        ("[tool.normcheck", "pyproject.toml cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        project_table(written(tmp_path, text))

    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_expected_finding_that_is_wrong_has_its_line(tmp_path: Path) -> None:
    good = '[[tool.normcheck.expected]]\ntarget = "a:f"\ncheck = "value"\nreason = "r"\n'
    path = written(tmp_path, f"{good}\n{good.replace('value', 'velue')}")
    with pytest.raises(UsageError, match=r"pyproject\.toml, line 6: an expected finding names a check 'velue'"):
        read(path, ("value",))


def test_a_run_follows_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(layers=LAYERS, test_own="def test_own(): pass")
    pytester.mkpydir("marked").joinpath("groups.py").write_text(MARKED)
    written(pytester.path, TABLE)
    done = pytester.runpytest("-p", "no:cacheprovider")

    assert done.ret == 0
    told = done.stdout.str()
    for name in ("layer_norm = layers:layer_norm", "rms_norm = layers:gemma", "group_norm = marked.groups:GroupNorm"):
        kind, target = name.split(" = ")
        assert re.search(rf"^{kind} = \S*{target[-5:]} +passed", told, re.MULTILINE)
    assert "--norm-effort smoke" in told

    named = pytester.runpytest("-p", "no:cacheprovider", "--norm", "rms_norm=torch.nn.functional:rms_norm")
    assert named.ret == 0
    assert "layers:gemma" not in named.stdout.str()
    assert "--norm-effort smoke" in named.stdout.str()

    written(pytester.path, TABLE.replace('"smoke"', '"smok"'))
    wrong = pytester.runpytest("-p", "no:cacheprovider")
    assert wrong.ret == 4
    wrong.stderr.fnmatch_lines(["ERROR: normcheck: unknown effort 'smok'*"])


def test_strict_is_followed(pytester: pytest.Pytester) -> None:
    """A textbook norm, with a warning: it passes, and fails where the project is strict."""
    pytester.makepyfile(
        layers="def layer_norm(x, weight, bias, eps=1e-5):\n"
        "    c = x - x.mean(-1, keepdim=True)\n"
        "    return c / (c.square().mean(-1, keepdim=True) + eps).sqrt() * weight + bias\n"
    )
    table = '[tool.normcheck]\nimplementations = ["layer_norm=layers:layer_norm"]\neffort = "quick"\n'
    written(pytester.path, table)
    assert pytester.runpytest("-p", "no:cacheprovider").ret == 0
    written(pytester.path, f"{table}strict = true\n")
    assert pytester.runpytest("-p", "no:cacheprovider").ret == 1
