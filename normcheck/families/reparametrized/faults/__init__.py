"""Known faults of layers in refreshed coordinates, as data: the reference with some steps replaced."""

from __future__ import annotations

from normcheck.core.contract import Contract
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.faults import affine, around, perceptron
from normcheck.families.reparametrized.faults.base import ReparametrizedFault
from normcheck.families.reparametrized.faults.run import AffineSteps, PerceptronSteps, Surroundings, start
from normcheck.families.reparametrized.subject import ReparametrizedDomain, ReparametrizedRun, ReparametrizedSubject

ALL = {fault.name: fault for fault in (*affine.ALL, *perceptron.ALL, *around.ALL)}
"""Every fault of the family, by name."""


def faulty(entry: Reparametrized, fault: ReparametrizedFault | None, promised: Contract) -> ReparametrizedSubject:
    """The reference as a subject, in the case's format, with a fault or without."""
    name = "reference" if fault is None else fault.name
    affine_steps = AffineSteps() if fault is None else fault.affine
    perceptron_steps = PerceptronSteps() if fault is None else fault.perceptron
    surroundings = Surroundings() if fault is None else fault.around

    def made(case: ReparametrizedCase) -> ReparametrizedRun:
        return start(case, entry, affine_steps, perceptron_steps, surroundings)

    return ReparametrizedSubject(name, entry, promised, ReparametrizedDomain(), made)
