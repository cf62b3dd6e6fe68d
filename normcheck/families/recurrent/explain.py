"""The page of a recurrent net, as sections: above all how a class must look."""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.core.floats import WIDE_NAMES
from normcheck.core.page import Section, paper
from normcheck.families.recurrent.entry import CELL, INPUT, STATE, SUM, Recurrent
from normcheck.normalizers.explain import conventions, named


def sections(entry: Recurrent) -> Iterator[Section]:
    """All sections but those that every page has: the note, and how to check one."""
    over = "cases" if entry.over_cases else "the units of a case"
    time = "all steps share one" if entry.over_time else "each step has its own"
    yield "formula", (entry.formula, f"A statistic is taken over {over}; {time}.")
    yield "paper", paper(entry)
    yield "Table 1", tuple(_rows(entry))
    yield "class", tuple(_class(entry))
    yield "parameters", tuple(_parameters(entry))
    yield "call", tuple(_call(entry))
    yield "conventions", tuple(conventions())
    yield "accuracy", (_ACCURACY,)


_ACCURACY = (
    f"{' and '.join(WIDE_NAMES)}, statistics in the working format. The bound follows the errors of each operation "
    "through the steps of the very case."
)


def _rows(entry: Recurrent) -> Iterator[str]:
    yield f"both weight matrices, or x of all steps: invariant to {named(entry.row, True)}"
    yield f"not invariant to {named(entry.row, False)}"
    yield f"a case depends on others: {'no' if entry.batch_independent else 'yes'}"
    yield f"an output depends on later inputs in training: {'no' if entry.length_independent else 'yes'}"


def _class(entry: Recurrent) -> Iterator[str]:
    arguments = ["input_size", "hidden_size"]
    if entry.slotted:
        arguments.append("max_length")
    arguments += ["eps=1e-5"] + (["momentum=0.1"] if entry.state else []) + ["batch_first=False"]
    yield f"A torch.nn.Module, built as torch.nn.{entry.cell.title} with one layer and one direction:"
    yield f"    Mine({', '.join(arguments)})"
    if "max_length" in arguments:
        yield "max_length is the number of steps that have running statistics of their own."
    yield "eps, momentum and batch_first may be missing: what is not there is reported and not asked."


def _parameters(entry: Recurrent) -> Iterator[str]:
    gates = f"rows for the gates {', '.join(entry.cell.gates)} in this order" if entry.gates > 1 else "a row a unit"
    yield f"Found by their names. weight_ih_l0 and weight_hh_l0 as torch has them, {gates}."
    if "bias_ih" in entry.parameters:
        yield "bias_ih_l0: the bias of the gates; a second one may be named bias_hh_l0, as torch's is."
    for place in entry.places:
        norm = "norm" if place == SUM else f"norm_{place}"
        shift = f" and {norm}.bias (or beta)" if entry.shifted(place) else ""
        yield f"{norm}.weight (or gamma){shift}: of the norm of {_WHAT[place]}; other first words do: bn_{place}, ln."
        if entry.state:
            yield f"{norm}.running_mean, {norm}.running_var: buffers, {_slots(entry)}."


_WHAT = {INPUT: "what the input sends", STATE: "what the state sends", SUM: "the sum", CELL: "the cell"}


def _slots(entry: Recurrent) -> str:
    if entry.over_time:
        return "one value a row of the weights"
    return "(max_length, rows), or one for each step with its number in the name: running_mean_0"


def _call(entry: Recurrent) -> Iterator[str]:
    state, first = ("(h_n, c_n)", "(h_0, c_0)") if entry.cell.remembers else ("h_n", "h_0")
    yield f"    output, {state} = mine(input, {first}, lengths)"
    yield "input (steps, cases, input_size), or (cases, steps, input_size) with batch_first; states (1, cases, units)."
    yield "hx may be missing. lengths, an integer tensor (cases,), may be missing: then padding is not asked about."
