"""Faults of what a refreshed layer owes to the layers, optimizers and files around it."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.reparametrized.faults.affine import with_geometry
from normcheck.families.reparametrized.faults.base import ReparametrizedFault
from normcheck.families.reparametrized.faults.run import Surroundings
from normcheck.families.reparametrized.reference import affine
from normcheck.families.reparametrized.reference.affine import AffineGeometry, by_scatter

MODULE = "torch.nn.Module: parameters are changed in place, and state is in buffers"
BELOW = "the gradient that the layer below gets"


def _centered(sent: Array, g: AffineGeometry | None) -> Array:
    return np.asarray(sent - sent.mean(axis=0))


def _preconditioned(dy: Array, g: AffineGeometry | None) -> Array:
    return dy if g is None else np.asarray(affine.length_kept(dy, g.outer) * dy @ g.outer)


ALL = (
    ReparametrizedFault(
        name="refresh-input-gradient-centered",
        story="Sends a centered gradient to the layer below, as if the mean were that of its own batch.",
        source="Ioffe and Szegedy 2015, section 3: the gradient of batch normalization",
        damages=BELOW,
        concerns=bool,
        around=Surroundings(below=_centered),
    ),
    ReparametrizedFault(
        name="refresh-input-gradient-preconditioned",
        story="Multiplies the derivatives by outputs by their inverse scatter for the layer below too.",
        source="Povey, Zhang, Khudanpur 2014: the gradient of each layer's weights alone is changed",
        damages=BELOW,
        concerns=with_geometry(by_scatter),
        around=Surroundings(sent=_preconditioned),
    ),
    ReparametrizedFault(
        name="refresh-new-parameters",
        story="A refresh makes new parameters: an optimizer that was made before it steps the old ones.",
        source=MODULE,
        concerns=bool,
        around=Surroundings(replaces=True),
    ),
    ReparametrizedFault(
        name="refresh-state-not-saved",
        story="Statistics are plain attributes: a layer that loads the saved state has other coordinates.",
        source=MODULE,
        damages="layers that are loaded",
        concerns=bool,
        around=Surroundings(unsaved=True),
    ),
    ReparametrizedFault(
        name="refresh-momentum-ignored",
        story="Takes a momentum, and replaces the statistics by those of the new batch.",
        source="torch.nn.BatchNorm1d, momentum",
        concerns=bool,
        around=Surroundings(hasty=True),
    ),
    ReparametrizedFault(
        name="refresh-given-layer-written",
        story="Shares a parameter with the layer that it was made of, which computes something else after a refresh.",
        source=MODULE,
        damages="the layer that was given",
        concerns=bool,
        around=Surroundings(writes=True),
    ),
)
