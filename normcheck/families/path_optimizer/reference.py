"""Path-SGD (Neyshabur, Salakhutdinov, Srebro 2015) in float64: what each gradient is divided by, and a step.

The squared path norm is J = sum over paths from an input to an output of the product of the squared weights on it
(eq. 4 with p = 2). For an edge e, J = kappa_e w_e^2 + what does not pass through e, with

    kappa_e = sum over paths through e of the product of the other squared weights = into(tail) * onward(head)

where into sums the paths that arrive at a node and onward those that leave it. The step is w_e - rate g_e / kappa_e
(eq. 9, Algorithm 1). Multiplying what enters a hidden node by c and dividing what leaves it by c leaves the function as
it is; kappa_e w_e^2 and g_e w_e do not change, so the step w_e -> w_e - rate g_e / kappa_e is multiplied as w_e is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.path_optimizer.case import Parameters, layers, weights_of


def into(parameters: Sequence[Array]) -> list[Array]:
    """Sum of squared products over the paths that arrive at each node, for inputs and each layer, (nodes,)."""
    net = layers(parameters)
    out = [np.ones_like(net[0][0], shape=net[0][0].shape[1])]
    for weight, bias in net:
        arrived = (weight * weight) @ out[-1]
        out.append(arrived if bias is None else arrived + bias * bias)
    return out


def onward(parameters: Sequence[Array]) -> list[Array]:
    """Sum of squared products over the paths from each node to an output, for inputs and each layer, (nodes,)."""
    matrices = weights_of(parameters)
    out = [np.ones_like(matrices[-1], shape=matrices[-1].shape[0])]
    for weight in reversed(matrices):
        out.append((weight * weight).T @ out[-1])
    return out[::-1]


def kappas(parameters: Sequence[Array]) -> Parameters:
    """kappa of each parameter, by which its gradient is divided; of the parameters' shapes."""
    before, after = into(parameters), onward(parameters)
    out: list[Array] = []
    for level, (_, bias) in enumerate(layers(parameters)):
        out.append(np.outer(after[level + 1], before[level]))
        if bias is not None:
            out.append(after[level + 1])
    return tuple(out)


def path_norm(parameters: Sequence[Array]) -> float:
    """J, the squared path norm."""
    return float(into(parameters)[-1].sum())


def divided(gradient: Array, kappa: Array) -> Array:
    """g / kappa; 0 where kappa is 0: an edge on no path of other weights has no gradient, and does not move."""
    return np.divide(gradient, kappa, out=np.zeros_like(gradient), where=kappa != 0)


def step(
    parameters: Sequence[Array], gradients: Sequence[Array], rate: float | Sequence[float], eps: float = 0.0
) -> Parameters:
    """The parameters after one step, at one rate or one for each; eps: what is added to kappa, nothing in the paper."""
    rates = np.broadcast_to(rate, len(parameters))
    parts = zip(parameters, gradients, kappas(parameters), rates, strict=True)
    return tuple(p - r * divided(g, k + eps) for p, g, k, r in parts)


def activations(parameters: Sequence[Array], x: Array) -> list[Array]:
    """Inputs, outputs of each hidden layer after its ReLU, and the net's output, each (cases, nodes)."""
    out = [x]
    net = layers(parameters)
    for level, (weight, bias) in enumerate(net):
        summed = out[-1] @ weight.T
        summed = summed if bias is None else summed + bias
        out.append(np.maximum(summed, 0.0) if level < len(net) - 1 else summed)
    return out


def gradients(parameters: Sequence[Array], x: Array, target: Array) -> Parameters:
    """Gradients of half the mean squared distance between the net's outputs and a target, by hand.

    1. dL/dy = (y - target) / cases
    2. dL/dW = (dL/da)^T h of the layer before, dL/db = sum over cases of dL/da, with a the layer's summed inputs
    3. dL/dh = dL/da W, and dL/da = dL/dh where h > 0
    """
    held = activations(parameters, x)
    signal = (held[-1] - target) / len(x)
    out: list[Array] = []
    for level, (weight, bias) in reversed(list(enumerate(layers(parameters)))):
        if bias is not None:
            out.append(signal.sum(axis=0))
        out.append(signal.T @ held[level])
        signal = (signal @ weight) * (held[level] > 0)
    return tuple(reversed(out))
