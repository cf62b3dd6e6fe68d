"""Contracts: from words and back, and one clear sentence for a word that is not one."""

from __future__ import annotations

from dataclasses import fields

import pytest

from normcheck.core.contract import CHOICES, GRADIENTS, Contract, contract, words
from normcheck.core.errors import UsageError

EVERY = [(key, value) for key, choices in CHOICES.items() for value in choices]


def sentence(conventions: dict[str, str]) -> str:
    """What is said of a contract that cannot be understood."""
    with pytest.raises(UsageError) as raised:
        contract(conventions)
    return str(raised.value)


def test_no_words_are_the_default() -> None:
    """Without words the contract is torch's."""
    assert contract({}) == Contract()
    assert words(Contract()) == {}


@pytest.mark.parametrize(("key", "value"), EVERY)
def test_every_choice_is_understood(key: str, value: str) -> None:
    """Each documented value of each key is taken, and comes back as the same word unless it is the default."""
    made = contract({key: value})

    assert getattr(made, key.replace("-", "_")) == value
    assert words(made) == ({} if value == CHOICES[key][0] else {key: value})


def test_the_first_choice_is_the_default() -> None:
    """The table of choices and the fields of a contract agree on defaults and on names."""
    default = Contract()

    assert {key: choices[0] for key, choices in CHOICES.items()} == {
        f.name.replace("_", "-"): getattr(default, f.name)
        for f in fields(Contract)
        if f.name not in ("eps", "formats", "slack", "ranks", "tensors", "translated", "input_shapes")
    }


def test_words_and_back() -> None:
    """All conventions at once survive the way to words and back."""
    said = {
        "variance": "unbiased",
        "running-variance": "biased",
        "momentum": "old",
        "eps-place": "outside",
        "weight": "1+w",
        "gradient": "mean-constant",
        "accuracy": "sound",
        "eps": "1e-06",
        "formats": "float64,float32",
        "slack": "2.5",
    }
    made = contract(said)

    assert words(made) == said
    assert contract(words(made)) == made


def test_underscores_and_blanks_are_forgiven() -> None:
    """A key may be written with underscores, and blanks around key and value do not matter."""
    assert contract({" eps_place ": " outside "}) == Contract(eps_place="outside")
    assert contract({"formats": "float32, float16"}).formats == ("float32", "float16")


def test_words_change_a_base() -> None:
    """Words are added to a given contract."""
    base = contract({"variance": "unbiased"})

    assert words(contract({"eps": "1e-3"}, base)) == {"variance": "unbiased", "eps": "0.001"}
    assert words(contract({"variance": "biased"}, base)) == {}


def test_through_says_what_the_gradient_passes() -> None:
    """Each claimed gradient is a pair: through the mean, through the variance."""
    assert {mode: contract({"gradient": mode}).through for mode in GRADIENTS} == {
        "full": (1, 1),
        "mean-constant": (0, 1),
        "variance-constant": (1, 0),
        "statistics-constant": (0, 0),
    }


@pytest.mark.parametrize(("said", "expected"), [
    ({"epsplace": "outside"}, "unknown contract key 'epsplace'; did you mean 'eps-place'?"),
    ({"varience": "biased"}, "unknown contract key 'varience'; did you mean 'variance'?"),
    ({"zzz": "1"}, "unknown contract key 'zzz'; known: accuracy, axis, batch-invariant, cast, empty, eps, eps-format, "
                   "eps-place, exact-to, form, formats, gradient, initial, input-shapes, momentum, ranks, "
                   "running-variance, second-derivative, shapes, single-value, sizes, slack, tensors, translated, "
                   "variance, weight, wrong-sizes"),
    ({"eps-place": "outsied"}, "contract eps-place=outsied: did you mean 'outside'?"),
    ({"variance": "n-1"}, "contract variance=n-1: known: biased, unbiased"),
    ({"weight": "w+1"}, "contract weight=w+1: known: 1+w, w"),
    ({"gradient": "mean"}, "contract gradient=mean: known: full, mean-constant, statistics-constant, "
                           "variance-constant"),
    ({"eps": "tiny"}, "contract eps=tiny: eps takes a number that is not negative"),
    ({"eps": "-1e-5"}, "contract eps=-1e-5: eps takes a number that is not negative"),
    ({"eps": "nan"}, "contract eps=nan: eps takes a number that is not negative"),
    ({"axis": "2"}, "contract axis=2: known: 1, last"),
    ({"slack": "inf"}, "contract slack=inf: slack takes a positive number"),
    ({"slack": "0"}, "contract slack=0: slack takes a positive number"),
    ({"formats": "float33"}, "contract formats=float33: unknown format 'float33'; did you mean 'float32'?"),
    ({"formats": "float32,half"}, "contract formats=float32,half: unknown format 'half'; known: bfloat16, float16, "
                                  "float32, float64"),
    ({"formats": ""}, "contract formats=: unknown format ''; known: bfloat16, float16, float32, float64"),
])  # fmt: skip
def test_a_word_that_is_not_one(said: dict[str, str], expected: str) -> None:
    """An unknown key or value is answered in one sentence that says what would be understood."""
    assert sentence(said) == expected
