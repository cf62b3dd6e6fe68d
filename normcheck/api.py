"""The Python interface: implementations checked in a script, a notebook or a training harness, without pytest."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normcheck.core.claim import Implementation
from normcheck.core.contract import with_input_shapes
from normcheck.core.errors import CallError, FindingsError, UsageError
from normcheck.core.events import ClaimBound, Event, outcomes_of, record
from normcheck.core.result import ERROR, PASSED, Finding, Outcome
from normcheck.core.target import split
from normcheck.engine import claims, run, verdict
from normcheck.engine.coverage import Coverage
from normcheck.engine.search import shared
from normcheck.engine.settings import Settings
from normcheck.report import completeness, failures, files, message
from normcheck.report.page import notebook
from normcheck.report.terminal import implementation as terminal


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Verdict:
    """What was found of one implementation. The fields are those of its record in the JSON document (`schema.json`)."""

    kind: str
    target: str
    verdict: str  # passed, failed, incomplete, inconclusive, error
    row: Mapping[str, str]  # of Table 1: "invariant", "not invariant" or "undetermined" by column
    extended: Mapping[str, str]  # the columns beyond Table 1
    gradient: str  # the mode whose closed form the gradient matches, or "none"
    diagnosis: tuple[str, ...]  # names of the faults that it looks like, most likely first
    findings: tuple[Finding, ...]  # the laws that do not hold, each on its most telling case
    causes: tuple[Any, ...] = ()  # what makes laws fail: name, story, checks, the most telling finding
    formats: Mapping[str, str]  # "right", "warning" or "failed" by format
    warnings: tuple[Any, ...] = ()  # what is right but weaker than in torch: name, text, and what to declare
    checks: Mapping[str, int]  # how many passed, failed, were inconclusive, skipped or in error
    laws: Mapping[str, Mapping[str, str]]  # the status of each law, by topic
    compared: int  # how many numbers were compared
    seconds: float
    invariances: Mapping[str, str]
    speed: tuple[Any, ...]
    growth: tuple[Any, ...]
    contract: Mapping[str, str]  # conventions that differ from the default
    accuracy: Mapping[str, Any]  # by pass and format
    curves: Mapping[str, Any]  # error over conditioning and width, by pass and format
    gradient_shares: Mapping[str, Any]
    tightest: Mapping[str, Any] | None  # the check that came nearest to what is allowed
    not_checked: Mapping[str, str]  # what was not checked, and why
    input_shapes: Mapping[str, int]  # of the contract, as asked: how many checks compared on each
    information: Mapping[str, str]
    expected_findings: Mapping[str, str]  # known findings that were met, and why they are accepted
    errors: tuple[str, ...]
    missing: Mapping[str, str]  # checks without an answer, and why
    deselected: int
    expected: Mapping[str, str] | None  # the row that follows from the definition of the kind
    expected_extended: Mapping[str, str]
    printed: tuple[Any, ...]  # the rows that papers print for the kind
    row_expected_statistics: Mapping[str, str] | None = None
    extended_expected_statistics: Mapping[str, str] | None = None
    _document: str  # the JSON document
    _failure: str  # the text of a failing test; empty if all is well

    @property
    def ok(self) -> bool:
        """Whether all laws hold that were checked, and something was compared: when pytest would exit with 0."""
        return not self._failure

    def raise_for_findings(self) -> None:
        """Raise `FindingsError`, with the text of a failing test, unless the verdict is `ok`."""
        if self._failure:
            raise FindingsError(self._failure)

    def to_json(self) -> str:
        """The whole document as `--norm-json` writes it: settings, environment and the record."""
        return self._document

    def __str__(self) -> str:
        """The block that the terminal prints for one implementation."""
        width = max(80, shutil.get_terminal_size().columns)
        return "\n".join(text for text, _ in terminal.implementation(self._record(), width))

    def __repr__(self) -> str:
        return f"<Verdict {self.kind} = {self.target}: {self.verdict}>"

    def _repr_html_(self) -> str:
        return notebook.fragment(self._record())

    def plot(self) -> Any:
        """Accuracy and gradient as a figure of matplotlib, which a notebook shows and `savefig("mine.png")` writes.

        Above, the largest error in units of its bound, over the condition of the set and over its width; below, how far
        the gradient is from the closed form of each mode. Raises `UsageError` without matplotlib, and if neither of
        the two was measured.
        """
        try:
            from normcheck.report.page.picture import picture
        except ModuleNotFoundError as error:
            raise UsageError(f"a plot needs {error.name}: pip install 'normcheck[report]'") from None
        return picture(self._record())

    def _record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._document)["implementations"][0]
        return found


def check(
    target: Any,
    as_: Any = None,
    contract: Mapping[str, Any] | None = None,
    effort: str = "default",
    progress: Callable[[Event], object] | bool | None = None,
    input_shapes: Sequence[Sequence[int]] | None = None,
) -> Verdict:
    """Check an implementation of a normalizer.

    >>> check("torch.nn.functional:rms_norm", as_="rms_norm", effort="quick").ok
    True

    target: "package.module:attribute", "path/to/file.py:attribute", either with fixed arguments as in
    "package.module:Name(groups=4)", a function, a torch.nn.Module class or instance, a pair (forward, backward) of
    numpy functions, or an `Implementation`. as_: the kind that it claims to be, or a `DefinedNormalizer`; None finds it
    out. contract: conventions that differ from torch's, {"eps-place": "outside"}. effort: smoke, quick, default or
    deep; all but deep search the same cases each time. input_shapes: shapes of your own, [(32, 768)], that are asked
    beside those of the suite, with axes in torch's order. progress: a function that receives each event, or True for a
    line per check on stderr.

    Afterwards threads, warnings and the module search path are as before. Raises `UsageError` for an unknown kind,
    convention or effort, and for a target that cannot be loaded or bound; `CallError` for one that raises or returns
    no answer to every ordinary input.
    """
    settings = Settings(effort, failing_cases=shared())
    listen = _listener(progress)
    seen: list[Event] = []
    with _loading(target):
        claim = _claim(target, as_, with_input_shapes(contract, input_shapes))
        with closing(run.events([claim], settings)) as stream:
            for event in stream:
                seen.append(event)
                listen(event)
                if isinstance(event, ClaimBound):
                    _raise_unless_bound(event.outcome)
    coverage = Coverage(tuple(run.questions([claim], settings)))
    return _verdict(verdict.document(seen, settings.record(), coverage), outcomes_of(seen))


def given_cases(target: Any, as_: str, check: str, contract: Mapping[str, Any] | None = None) -> Callable[[], None]:
    """One check as a Hypothesis test: a function made with `hypothesis.given`, for pytest and for fuzzers.

    >>> test_value = given_cases("torch.nn.functional:layer_norm", as_="layer_norm", check="value")

    Number of examples and database are those of the Hypothesis profile in force. The test raises `FindingsError` with
    the law, the smallest case, and the command that runs it again. target, as_, contract: as `check` takes them.
    check: a name that `normcheck explain` lists; one that seeks a counterexample for a "no" never fails here.

    Raises `UsageError` for an unknown kind, convention or check, and for a check that has no cases for this
    implementation; `UsageError` or `CallError` where it cannot be loaded, bound or called.
    """
    made = claims.claim((as_, target), claims.conventions_of(contract))
    from normcheck.engine.case_test import case_test  # imports Hypothesis

    return case_test(made, check, lambda finding: message.finding(made.kind, made.name, finding.record()))


def _claim(target: Any, as_: Any, contract: Mapping[str, Any] | None) -> claims.Claim:
    declared = claims.conventions_of(contract)
    if as_ is not None:
        return claims.claim((claims.kind_of(as_), target), declared)
    if isinstance(target, (str, Implementation)):
        return claims.claim(target, declared)
    return claims.identified(target, declared)


def _raise_unless_bound(outcome: Outcome) -> None:
    if outcome.status == ERROR:
        raise UsageError(outcome.reason) if outcome.usage else CallError(outcome.reason)


def _listener(progress: Callable[[Event], object] | bool | None) -> Callable[[Event], object]:
    if progress is True:
        return _print_line
    return progress or (lambda event: None)


def _print_line(event: Event) -> None:
    line = terminal.progress(record(event))
    if line:
        sys.stderr.write(f"{line}\n")


@contextmanager
def _loading(target: Any) -> Iterator[None]:
    """Take back what loading a target adds: folders of the module search path, and the module of a file."""
    path, modules = list(sys.path), set(sys.modules)
    file = Path(split(target)[0]).expanduser().resolve() if isinstance(target, str) else Path()
    try:
        yield
    finally:
        added = {str(Path.cwd()), str(file.parent)}
        sys.path[:] = [folder for folder in sys.path if folder in path or folder not in added]
        for name in set(sys.modules) - modules:
            if getattr(sys.modules[name], "__file__", None) == str(file):  # the next check reads the file again
                del sys.modules[name]


def _verdict(document: Mapping[str, Any], found: list[Outcome]) -> Verdict:
    (one,) = document["implementations"]
    failure = failures.failure_text([outcome.record() for outcome in found], {})
    if not failure and one["verdict"] != PASSED:
        why = completeness.unanswered(one) or "no check could compare anything"
        failure = f"{one['target']}: {why}"
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in one.items()}
    values["findings"] = tuple(outcome.finding for outcome in found if outcome.finding is not None)
    text = files.text(document, "json", Path(), Path())
    return Verdict(**values, _document=text, _failure=failure)
