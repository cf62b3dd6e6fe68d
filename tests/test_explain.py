"""Every kind, check and fault has a page and a line that fit a terminal; wrong lines on pages are wrong, and found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sweeps import sweep

from normcheck import families
from normcheck.core.contract import VALUES, Contract, contract, values
from normcheck.core.errors import UsageError
from normcheck.core.events import outcomes_of
from normcheck.core.result import FAILED, PASSED
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.explain import pages
from normcheck.explain.card_words import CARD_WORDS
from normcheck.explain.conventions import MEANINGS
from normcheck.explain.topics import TOPICS
from normcheck.families import CHECKS_BY_NAME
from normcheck.identify.identify import identify
from normcheck.normalizers import faults
from normcheck.normalizers.faults.wrong_lines import EXAMPLES, TEMPLATE, code
from normcheck.report.terminal.card import LABEL_WIDTH, card_lines
from normcheck.report.terminal.explained import index_lines, lines

WORDS = [word for some in pages.words().values() for word in some]

EPS_OUTSIDE = """\
eps-outside-root: a fault
=========================

what happens  Divides by sqrt(v) + eps. Hides where the variance is far above
              eps.

source        tracel-ai/burn#2185
              https://github.com/tracel-ai/burn/issues/2185

can befall    batch_norm, layer_norm, rms_norm, partial_rms_norm, group_norm,
              instance_norm

damages       the output, and the gradients through it

wrong           xh = c / (torch.sqrt(var) + eps)

right           xh = c / torch.sqrt(var + eps)"""


def text(word: str, width: int = 80) -> str:
    page = pages.page(word)
    return "\n".join(lines(page.title, page.sections, width))


def test_everything_has_a_page() -> None:
    assert [*families.ENTRIES, *CHECKS_BY_NAME, *families.FAULTS, *TOPICS, *MEANINGS, *CARD_WORDS] == WORDS
    twice = {word for word in WORDS if WORDS.count(word) > 1}
    known = CARD_WORDS.keys() & {*CHECKS_BY_NAME, *MEANINGS} | MEANINGS.keys() & CHECKS_BY_NAME.keys()
    assert twice == known, "a word that names two things has one page only"


@pytest.mark.parametrize("width", [80, 120])
def test_the_index_has_a_line_for_every_page(width: int) -> None:
    """In groups; a line has the name and what its page is about, and fits."""
    printed = [line for group in pages.index() for line in list(index_lines(group.title, group.pages, width))[2:]]

    assert sorted(line.split(" ")[0] for line in printed) == sorted(WORDS)
    assert all(len(line) <= width and len(line.split()) > 1 for line in printed)
    assert "eps-ignored                   Takes eps and never adds it. Hides until a set " in "\n".join(printed)
    titles = [group.title for group in pages.index()]
    assert titles == list(dict.fromkeys(titles))
    assert {"kinds: recurrent", "laws: accuracy", "faults: whitening", "conventions: keys of a contract",
            "card: words of normcheck identify"} <= set(titles)  # fmt: skip


def labels(target: str) -> Iterator[str]:
    """The words on the left of the card of a target, as their pages are named."""
    for line in card_lines(identify(target).record(), 80):
        if line.startswith("  Table 1"):
            return
        if line.startswith("  ") and line[2] != " ":
            yield line[:LABEL_WIDTH].strip().replace(" ", "-")


def test_every_word_of_a_card_has_a_page(tmp_path: Path) -> None:
    path = tmp_path / "cubed.py"
    path.write_text(
        "import torch\n"
        "def cubed(x, normalized_shape, weight=None, bias=None, eps=1e-5):\n"
        "    return torch.nn.functional.layer_norm(x, normalized_shape, None, None, eps) ** 3\n"
    )

    assert {*labels("torch.nn.functional:batch_norm"), *labels(f"{path}:cubed")} == set(CARD_WORDS)
    assert text("scaled-by").splitlines()[3].startswith("what it is    The statistic that a set is divided by")


def test_every_convention_is_explained_with_all_its_values() -> None:
    assert MEANINGS.keys() == values(Contract()).keys()
    for key, meaning in MEANINGS.items():
        assert tuple(meaning.values) == VALUES.get(key, ())
        declared = next(line for line in text(key + "=").splitlines() if "--norm-contract" in line)
        contract(dict([declared.rpartition(" ")[2].split("=", 1)]))


def test_a_convention_is_found_by_its_value_too() -> None:
    assert text("eps-place=outside") == text("eps-place")
    assert text("eps-place").splitlines()[:7] == [
        "eps-place: a convention",
        "=======================",
        "",
        "what it is    Where epsilon acts. v is the variance, or the mean square of a",
        "              normalizer that subtracts no mean.",
        "",
        "values        inside (default): sqrt(v + eps)",
    ]
    assert text("empty").startswith("empty: a law")
    assert text("empty=refused").startswith("empty: a convention")


@pytest.mark.parametrize("word", WORDS)
def test_page_fits(word: str) -> None:
    """No line beyond 80 columns but those that one word fills, no section without text."""
    page = pages.page(word)

    assert all(paragraphs and all(p.strip() for p in paragraphs) for _, paragraphs in page.sections)
    assert all(len(line) <= 80 or len(line.split()) <= 2 or "    " in line for line in text(word).splitlines())
    assert all(len(line) <= 110 for line in text(word, 120).splitlines()) or "    " in text(word, 120)


def test_fault_page() -> None:
    assert text("eps-outside-root") == EPS_OUTSIDE


def test_kind_page() -> None:
    said = text("batch_norm")

    assert "Ioffe, Szegedy 2015, Algorithm 1: Batch Normalization" in said
    assert "https://arxiv.org/abs/1502.03167" in said
    assert "pytest --norm batch_norm=mypkg.kernels:mine" in said


def test_law_page_says_of_whom_it_is_asked() -> None:
    assert "not of layer_norm" in text("running-statistics")


@pytest.mark.parametrize(
    ("word", "says"),
    [("layernorm", "did you mean 'layer_norm'?"), ("eps-outside", "did you mean 'eps-outside-root'?"),
     ("zzzz", "`normcheck explain` lists all pages"), ("efs-place=outside", "did you mean 'eps-place'?")],
)  # fmt: skip
def test_unknown(word: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        pages.page(word)

    assert says in str(caught.value)


def verdict(path: Path, source: str) -> str:
    """Whether a check at quick effort finds something, or has a warning; the first one that does ends it."""
    path.write_text(source)
    with closing(events(claims([f"layer_norm={path}:f"], {}), Settings("quick", strict=True))) as stream:
        return FAILED if any(one.status == FAILED for event in stream for one in outcomes_of([event])) else PASSED


def test_the_template_is_right(tmp_path: Path) -> None:
    body = "".join(f"    {line}\n" for line in TEMPLATE.values())

    assert verdict(
        tmp_path / "right.py", f"import torch\ndef f(x, width, weight=None, bias=None, eps=1e-5):\n{body}"
    ) == (PASSED)


@sweep("name", EXAMPLES)
def test_the_example_is_wrong(name: str, tmp_path: Path) -> None:
    assert name in faults.ALL
    assert verdict(tmp_path / "wrong.py", code(name)) == FAILED
