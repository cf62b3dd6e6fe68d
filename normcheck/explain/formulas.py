"""Formulas of the catalog as mathematics: the text that a terminal prints, read and written again as LaTeX.

The text is the only source, so a page and a terminal show the same formula. It has mathematics with prose between, as
in `y = x / max(|x|, eps), |x| the length of a case`: prose outside of brackets stays text, which a browser can wrap.
A quotient reaches over the product before it and one factor after it; a bar opens where none is open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)"
    r"|(?P<word>(?:[A-Za-z]{2,}\d+|[A-Za-z]+)(?:_[A-Za-z0-9]+|(?<=x)~)*'?(?:[A-Za-z]*)(?:-[A-Za-z]+)*)"
    r"|(?P<sign><=|>=|!=|->|\+=|-=|.)"
)
GREEK = ("alpha", "beta", "gamma", "delta", "kappa", "lambda", "mu", "phi", "pi", "sigma", "tau", "theta")
LETTERS = {"eps": r"\varepsilon", "xh": r"\hat{x}", "x~": r"\tilde{x}", **{name: f"\\{name}" for name in GREEK}}
FUNCTIONS = ("sqrt", "exp", "tanh", "sigmoid", "erf", "max", "min", "cov", "tr", "clip", "floor", "var", "BN", "LN")
NAMES = (*FUNCTIONS, "dx", "dy", "dw", "dW", "dL", "lr", "dweight", "dbias", "momentum", "act")
"""Words that are mathematics wherever they stand."""

EITHER = (
    "mean", "sum", "weight", "bias", "scale", "shift", "batch", "style", "unit", "node", "update", "residual", "branch",
    "running", "size", "rows", "old", "new", "magnitude", "forward", "gain", "slope", "gradients", "bound",
)  # fmt: skip
"""Words that are mathematics beside mathematics, and prose beside prose."""

SEPARATES = set("()[]{},;:.")
"""Signs that a word may stand beside without being mathematics."""

TALL = (r"\frac", r"\sqrt", r"\sum")
"""What brackets have to be as high as."""

MOMENTS = ("mean", "var")
SIGNS = {"<=": r"\le", ">=": r"\ge", "!=": r"\ne", "->": r"\to", "*": r"\cdot", "+=": r"\mathrel{+}=",
         "-=": r"\mathrel{-}=", "~": r"\sim", "\\": r"\backslash", "^": r"\wedge", "<": r"\lt", ">": r"\gt",
         **{sign: f"\\{sign}" for sign in "{}%&#_$"}}  # fmt: skip
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, ")]}"
NAME_END = re.compile(r"\\text\{[^{}]*\}$")
PROSE, WORD, NUMBER, SIGN = "prose", "word", "number", "sign"


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a number or a sign; `spaced`: whether white space stands before it."""

    kind: str
    text: str
    spaced: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a formula: prose as it is, or mathematics in LaTeX."""

    text: str
    mathematics: bool


def pieces(formula: str) -> tuple[Piece, ...]:
    """A formula as prose and mathematics, in their order. Between two pieces of mathematics there is prose."""
    out: list[Piece] = []
    for run in _runs(_classified(list(_tokens(formula)))):
        prose = run[0].kind == PROSE or all(_is_plain(token) for token in run)
        text = "".join(f" {token.text}" if token.spaced else token.text for token in run)
        if prose and out and not out[-1].mathematics:
            out[-1] = Piece(out[-1].text + text, mathematics=False)
        elif prose:
            out.append(Piece(text, mathematics=False))
        else:
            if run[0].spaced and out:
                out[-1] = Piece(out[-1].text + " ", mathematics=False)
            out.append(Piece(_Reader(run).latex(), mathematics=True))
    return tuple(out)


def _is_plain(token: Token) -> bool:
    """Whether a token by itself is read as well in prose: a number, a long word, a sign."""
    return token.kind != WORD or (len(token.text) > 2 and token.text not in LETTERS and "_" not in token.text)


def _tokens(formula: str) -> Iterator[Token]:
    spaced, inner = False, 0
    for found in TOKEN.finditer(formula):
        kind, text = str(found.lastgroup), found.group()
        if kind == "space":
            spaced = True
            continue
        after = formula[found.end() : found.end() + 1]
        if text == "<" and after.strip():  # an inner product; a relation has spaces on both sides
            text, inner = r"\langle", inner + 1
        elif text == ">" and inner:
            text, inner = r"\rangle", inner - 1
        yield Token(kind, text, spaced)
        spaced = False


def _classified(tokens: list[Token]) -> list[Token]:
    """The same tokens; words that are prose have that kind."""
    ends = Token(SIGN, "", spaced=False)  # before the first token, and behind the last
    before, after = [ends, *tokens][:-1], [*tokens, ends][1:]
    symbol = [token.kind == WORD and (_is_letter_a(left, right) if token.text == "a" else _is_symbol(token))
              for token, left, right in zip(tokens, before, after, strict=True)]  # fmt: skip
    joins = [
        yes or token.kind == NUMBER or (token.kind == SIGN and token.text not in SEPARATES)
        for yes, token in zip(symbol, tokens, strict=True)
    ]  # a word that may be either is mathematics beside these
    for i, token in [*enumerate(tokens), *reversed([*enumerate(tokens)])]:
        if token.kind != WORD or joins[i] or token.text.rstrip("'") not in EITHER:
            continue
        left = i > 0 and (joins[i - 1] or before[i].text in CLOSING)
        behind_prose = before[i].kind == WORD and not left
        called = after[i].text == "(" and not after[i].spaced
        right = i + 1 < len(tokens) and joins[i + 1] and (not behind_prose or after[i].text == "=")
        joins[i] = left or right or called
    return [
        Token(PROSE, token.text, token.spaced) if token.kind == WORD and not yes else token
        for token, yes in zip(tokens, joins, strict=True)
    ]


def _is_symbol(token: Token) -> bool:
    """Whether a word is mathematics wherever it stands."""
    base = token.text.rstrip("'")
    return base in LETTERS or base in NAMES or "_" in base or len(base) == 1


def _is_letter_a(before: Token, after: Token) -> bool:
    """Whether the word a between two tokens is a letter, and no article."""
    operand = after.kind == SIGN and after.text not in {"", *SEPARATES}
    opened = operand or before.text in OPENING or (before.kind == SIGN and before.text not in {"", *SEPARATES})
    return (opened or (before.kind == WORD and _is_symbol(before))) and (after.kind == SIGN or _is_symbol(after))


def _runs(tokens: list[Token]) -> Iterator[list[Token]]:
    """Prose and mathematics in turn; inside of brackets and bars prose belongs to the mathematics around it."""
    run: list[Token] = []
    depth, bar = 0, False
    for token in tokens:
        inside = depth > 0 or bar
        separates = token.text in {",", ";", ":", "."} and not inside
        prose = (token.kind == PROSE or separates) and not inside
        if run and prose != _is_prose(run):
            yield run
            run = []
        run.append(Token(PROSE, token.text, token.spaced) if prose else token)
        if token.text in OPENING or token.text == r"\langle":
            depth += 1
        elif (token.text in CLOSING or token.text == r"\rangle") and depth:
            depth -= 1
        elif token.text == "|":
            bar = not bar
    if run:
        yield run


def _is_prose(run: list[Token]) -> bool:
    return run[-1].kind == PROSE and all(token.kind == PROSE for token in run)


class _Reader:
    """Reads tokens of mathematics: sums of products of factors."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at = tokens, 0

    def latex(self) -> str:
        out: list[str] = []
        while self.at < len(self.tokens):
            out.append(self._sum(""))
            if self.at < len(self.tokens):  # a bracket that nothing has opened
                sign = self._take().text
                out.append(SIGNS.get(sign, sign))
        return " ".join(part for part in out if part)

    def _next(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def _take(self) -> Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def _sum(self, until: str) -> str:
        """Everything up to a closing sign, which is left."""
        out: list[str] = []
        while self._next() not in {"", until, *CLOSING}:
            out.append(self._product(until))
            if self._next() not in {"", until, *CLOSING}:
                sign = self._take().text
                out.append(SIGNS.get(sign, sign))
        return " ".join(part for part in out if part)

    def _product(self, until: str) -> str:
        done: list[str] = []  # fractions, and what stands before them
        fresh: list[tuple[str, str]] = []  # factors that a quotient would reach over, each also without its brackets
        while True:
            sign = self._next()
            if sign == "/" and fresh and self.at + 1 < len(self.tokens):
                self.at += 1
                above = fresh[0][1] if len(fresh) == 1 else _joined(full for full, _ in fresh)
                done.append(f"\\frac{{{above}}}{{{self._factor()[1]}}}")
                fresh = []
            elif sign == "*":
                self.at += 1
                done += [*(full for full, _ in fresh), SIGNS["*"]]
                fresh = []
            elif self._starts_factor(until):
                fresh.append(self._factor())
            else:
                return _joined([*done, *(full for full, _ in fresh)])

    def _starts_factor(self, until: str) -> bool:
        if self.at >= len(self.tokens) or self._next() == until:
            return False
        token = self.tokens[self.at]
        return token.kind != SIGN or token.text in OPENING or token.text in {"|", r"\langle", "."}

    def _factor(self) -> tuple[str, str]:
        """A factor with its exponents and arguments: whole, and without the brackets around all of it."""
        if self.at >= len(self.tokens):
            return "", ""
        token = self._take()
        full, bare = self._atom(token)
        while self.at < len(self.tokens):
            after = self.tokens[self.at]
            if after.text == "^":
                self.at += 1
                minus = "-" if self._next() == "-" and self._take() else ""
                full = bare = f"{full}^{{{minus}{self._factor()[1]}}}"
            elif after.text in OPENING and not after.spaced and token.kind == WORD:
                full = bare = full + self._bracket(self._take().text)[0]
            else:
                break
        return full, bare

    def _atom(self, token: Token) -> tuple[str, str]:
        if token.text in OPENING or token.text in {"|", r"\langle"}:
            return self._bracket(token.text)
        if token.text == "sqrt" and self._next() == "(":
            root = f"\\sqrt{{{self._bracket(self._take().text)[1]}}}"
            return root, root
        if token.kind == PROSE:
            words = [token.text]
            while self.at < len(self.tokens) and self.tokens[self.at].kind == PROSE:
                words.append(self._take().text)
            text = f"\\text{{{' '.join(words)}}}"
            return text, text
        text = _symbol(token.text) if token.kind == WORD else SIGNS.get(token.text, token.text)
        return text, text

    def _bracket(self, opening: str) -> tuple[str, str]:
        """A bracket that was opened, up to its end: with it, and without."""
        closing = {**OPENING, "|": "|", r"\langle": r"\rangle"}[opening]
        inner = self._sum(closing)
        if self._next() == closing:
            self.at += 1
        left, right = (f"\\{opening}", f"\\{closing}") if opening == "{" else (opening, closing)
        tall = any(word in inner for word in TALL)
        full = f"\\left{left} {inner} \\right{right}" if tall else f"{left} {inner} {right}"
        return full, full if opening in {"|", r"\langle"} else inner


def _joined(factors: Iterable[str]) -> str:
    """A product: a space beside a name of several letters, which would run into its neighbor."""
    out = ""
    for factor in factors:
        named = NAME_END.search(out) or (factor.startswith(r"\text") and not out.endswith(SIGNS["*"]))
        out += (r" \; " if named else " ") + factor if out else factor
    return out


def _symbol(word: str) -> str:
    """A word of mathematics: a letter, a letter with an index, a function or a name."""
    name, primes = word.rstrip("'"), "'" * (len(word) - len(word.rstrip("'")))
    base, _, index = name.partition("_")
    if name in LETTERS:
        said = LETTERS[name]
    elif name == "sum":
        said = r"\sum"
    elif len(name) == 1:
        said = name
    elif len(name) == 2 and name[0] == "d":  # a gradient, or a factor d: juxtaposed in both
        said = f"{name[0]} {name[1]}"
    elif index and (len(base) == 1 or base in LETTERS or (base in MOMENTS and len(index) == 1)):
        inner = LETTERS.get(index, index if len(index) <= 2 else f"\\text{{{index}}}")
        said = f"{_symbol(base)}_{{{inner}}}"
    else:
        said = "\\text{" + name.replace("_", r"\_") + "}"
    return said + primes
