"""Formulas of kinds and laws as mathematics: nothing of the text is lost, and every text can be read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normcheck import families
from normcheck.explain.formulas import TOKEN, pieces
from normcheck.families import CHECKS_BY_NAME

FORMULAS = {name: entry.formula for name, entry in families.ENTRIES.items()}
LAWS = {name: check.law for name, check in CHECKS_BY_NAME.items()}
LAYOUT = r"\\(frac|left|right|text|cdot|mathrel|le|ge|ne|to|langle|rangle|backslash|lt|gt)(?![A-Za-z])"
"""Commands of LaTeX that stand for no letter."""


def latex(formula: str) -> str:
    """Mathematics between dollars, as a page has it."""
    return "".join(f"${piece.text}$" if piece.mathematics else piece.text for piece in pieces(formula))


def letters(text: str) -> str:
    """Letters and digits of LaTeX or of a formula, in their order."""
    plain = text.replace(r"\hat{x}", "xh").replace("varepsilon", "eps").replace(r"\tilde{x}", "x")
    return re.sub("[^A-Za-z0-9]", "", re.sub(LAYOUT, "", plain))


def signs(text: str) -> list[int]:
    """How many of each sign that is written in one way in both."""
    plain = re.sub(r"\\;|->|<=|>=|!=|\\mathrel", "", text)
    return [plain.count(sign) for sign in "+-=,;|"]


@pytest.mark.parametrize(
    ("formula", "page"),
    [
        (FORMULAS["layer_norm"], r"$y = \frac{x - \text{mean}}{\sqrt{\text{var} + \varepsilon}} \cdot \text{weight} + "
         r"\text{bias}$, statistics over the units of each case"),
        (FORMULAS["l2_norm"], r"$y = \frac{x}{\text{max}( | x | , \varepsilon )}$, $| x |$ the length of a case"),
        (FORMULAS["natural_neural_network"].partition(", U")[0], "$y = V U ( x - m ) + d$"),
        (LAWS["gradient-sums"], r"$\sum d x = 0$ and $\langle d x , \hat{x} \rangle = \frac{\varepsilon}{v + "
         r"\varepsilon} \frac{\sum g \hat{x}}{s}$"),
        (LAWS["shift-of-each-unit"], "$y( a + b ) = y( a )$, $b$ a bias for each unit"),
        (LAWS["many-sets"], "$y$ is right for 65,535, 65,536 and 65,537 sets"),
        (LAWS["weight_vector_rescaling"], r"$y( w_{i} \to d w_{i} , x ; d^{2} \varepsilon \; \text{for that unit} ) = "
         r"y( W , x ; \varepsilon )$"),
        ("a / b c + (x + 1)^2 / 2", r"$\frac{a}{b} c + \frac{( x + 1 )^{2}}{2}$"),
    ],
)  # fmt: skip
def test_as_on_the_page(formula: str, page: str) -> None:
    assert latex(formula) == page


@pytest.mark.parametrize("formula", [*FORMULAS.values(), *LAWS.values()], ids=[*FORMULAS, *LAWS])
def test_nothing_is_lost(formula: str) -> None:
    """Letters, digits and signs are those of the text that a terminal prints, in the same order."""
    assert letters(latex(formula)) == letters(formula)
    assert signs(latex(formula)) == signs(formula)


def test_every_formula_of_a_kind_is_mathematics() -> None:
    assert [name for name, text in FORMULAS.items() if not any(piece.mathematics for piece in pieces(text))] == []


@given(st.lists(st.sampled_from([*"xyaW()[]{}|<>+-*/^_=,;:.~%&#$\\", "mean", "the", "eps", "sqrt", "sum", " ", "12"])))
def test_every_text_can_be_read(parts: list[str]) -> None:
    """No text is endless or an error: projects write formulas of their own."""
    convert = pytest.importorskip("latex2mathml.converter", reason="pip install 'normcheck[docs]'").convert
    text = "".join(parts)
    assert "".join(found.group() for found in TOKEN.finditer(text)) == text
    for piece in pieces(text):
        if piece.mathematics:
            convert(piece.text)
