"""A survey: the normalizers of each library are found, those with the same code are one, and each is checked."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

from normcheck.core.foreign_code import quiet
from normcheck.core.limits import Limits
from normcheck.core.version import __version__
from normcheck.engine import verdict
from normcheck.engine.batch.process import Process
from normcheck.engine.batch.side_by_side import side_by_side, unfinished
from normcheck.engine.batch.tasks import Task
from normcheck.engine.conditions import old_objects_set_aside, run_conditions
from normcheck.engine.survey.examine import STANDINGS, Speed, examine, row
from normcheck.engine.survey.journal import SurveyJournal, key
from normcheck.engine.survey.libraries import Library, Module
from normcheck.engine.survey.members import CODE, LOADED, PROBLEM, TARGET, search, try_import
from normcheck.frameworks.isolation import warm

SEARCH_SECONDS = 60.0
"""Seconds in which a module is imported, or it is reported as one that cannot be."""

MODULES_TOLD = 20
"""After so many modules a line tells how many have been searched."""

TRIED = 3
"""Modules of a library that are imported to find out what all of them import."""

Row = dict[str, Any]
Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class SurveyEffort:
    """How a survey checks: the effort of each check, the limits of each callable, and how many run at a time.

    speed: times what is right; None: nothing is timed.
    """

    name: str
    limits: Limits
    jobs: int
    speed: Speed | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A callable by the public names under which its code is found; the first is the shortest."""

    targets: tuple[str, ...]
    code: str


def survey(
    libraries: Sequence[Library], effort: SurveyEffort, lines: SurveyJournal, tell: Tell
) -> Generator[Row, None, None]:
    """The record of each library, with its rows. lines: where what is found is written at once, and read from.

    This process imports each library that can be imported without starting threads, so that the process of a
    callable, which is forked from it, need not. An earlier library stays imported.
    """
    with run_conditions():
        warm.up()
        for library in libraries:
            _import(library, effort)
            with old_objects_set_aside():
                yield _surveyed(library, effort, lines, tell)


def _import(library: Library, effort: SurveyEffort) -> None:
    """Import what each of a few modules of a library imports of it, where that ends well in a process of its own."""
    some = library.modules[:: max(1, len(library.modules) // TRIED)][:TRIED]
    works = [(one, partial(try_import, one.name)) for one in some]
    loaded: list[set[str]] = []
    with closing(side_by_side(works, _searching(effort), effort.jobs)) as ended:
        for _, process in ended:
            names = next((one[LOADED] for one in process.records if LOADED in one), None)
            if names is not None and not unfinished(process):
                loaded.append(set(map(str, names)))
    top = library.name.partition(".")[0]
    for name in sorted(set.intersection(*loaded) if loaded else ()):
        if name.partition(".")[0] == top:
            with quiet(), suppress(Exception):
                import_module(name)


def _searching(effort: SurveyEffort) -> Limits:
    return replace(effort.limits, total=min(SEARCH_SECONDS, effort.limits.total))


def _surveyed(library: Library, effort: SurveyEffort, lines: SurveyJournal, tell: Tell) -> dict[str, Any]:
    name = f"{library.name} {library.version}".strip()
    found, problems = _search(library, effort, lines, tell)
    candidates = _distinct(found)
    tell(f"{name}: {len(found)} names in {len(library.modules)} modules, {len(candidates)} of different code")
    rows: list[Row] = []
    with closing(_rows(library, candidates, effort, lines)) as stream:
        for one in stream:
            rows.append(one)
            tell(f"{name} {len(rows)}/{len(candidates)} {one['target']}: {one['standing']}, {one['elapsed']:.1f} s")
    places = {one.targets[0]: i for i, one in enumerate(candidates)}
    rows.sort(key=lambda one: places[one["target"]])
    counts = {standing: sum(one["standing"] == standing for one in rows) for standing in STANDINGS}
    return {
        "name": library.name, "version": library.version, "modules": len(library.modules), "names": len(found),
        "counts": {standing: count for standing, count in counts.items() if count}, "problems": problems,
        "seconds": round(sum(one["elapsed"] for one in rows), 1), "normalizers": rows,
    }  # fmt: skip


def _search(
    library: Library, effort: SurveyEffort, lines: SurveyJournal, tell: Tell
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The targets of a library with the digests of their code, and why modules could not be searched."""
    asked = {key("module", one.name, library.version, _content(one)): one for one in library.modules}
    works = ((of, partial(search, one, library.name)) for of, one in asked.items() if lines.get(of) is None)
    with closing(side_by_side(works, _searching(effort), effort.jobs)) as ended:
        for i, (of, process) in enumerate(ended, 1):
            lines.add(of, {"module": asked[of].name, **_of_module(process)})
            if i % MODULES_TOLD == 0:
                tell(f"{library.name}: {i} of {len(asked)} modules searched")
    found: dict[str, str] = {}
    problems = {}
    for of, module in asked.items():
        line = lines.get(of)
        found |= dict(line["found"])
        if line["problem"]:
            problems[module.name] = line["problem"]
    return list(found.items()), problems


def _content(module: Module) -> str:
    with suppress(OSError):
        return key(module.path.read_bytes())
    return ""


def _of_module(process: Process) -> dict[str, Any]:
    found = [[str(one[TARGET]), str(one[CODE])] for one in process.records if TARGET in one and CODE in one]
    problem = next((str(one[PROBLEM]) for one in process.records if PROBLEM in one), "")
    return {"found": found, "problem": unfinished(process) or problem}


def _distinct(found: Iterable[tuple[str, str]]) -> list[Candidate]:
    """A candidate for each code, in the order of their names."""
    by_code: dict[str, list[str]] = {}
    for target, code in found:
        by_code.setdefault(code, []).append(target)
    made = [Candidate(tuple(sorted(some, key=_shortest_first)), code) for code, some in by_code.items()]
    return sorted(made, key=lambda one: one.targets[0])


def _shortest_first(target: str) -> tuple[int, str]:
    return target.count("."), target


def _rows(
    library: Library, candidates: Iterable[Candidate], effort: SurveyEffort, lines: SurveyJournal
) -> Generator[Row, None, None]:
    """The row of each candidate; those that have a line first."""
    left = []
    for one in candidates:
        of = key("normalizer", one.targets[0], one.code, library.version, effort.name, effort.speed is not None)
        before = lines.get(of)
        if before is None:
            left.append((one, of))
        else:
            yield before | _of_library(library, one)
    works = ((pair, partial(examine, _task(pair[0], effort), effort.speed)) for pair in left)
    with closing(side_by_side(works, effort.limits, effort.jobs)) as ended:
        for (one, of), process in ended:
            made = row(_task(one, effort), process.records, unfinished(process), process.elapsed)
            lines.add(of, made)
            yield made | _of_library(library, one)


def _task(one: Candidate, effort: SurveyEffort) -> Task:
    return Task(one.targets[0], target=one.targets[0], effort=effort.name)


def _of_library(library: Library, one: Candidate) -> Row:
    return {"library": library.name, "version": library.version, "same": list(one.targets[1:])}


def document(libraries: Iterable[Mapping[str, Any]], effort: SurveyEffort, *, complete: bool) -> dict[str, Any]:
    """The JSON document of a survey. complete: whether it reached its end."""
    return {
        "survey": 1, "normcheck": __version__, "effort": effort.name, "complete": complete, "standings": STANDINGS,
        "environment": verdict.environment(), "libraries": list(libraries),
    }  # fmt: skip
