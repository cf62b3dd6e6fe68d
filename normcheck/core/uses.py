"""Names of the ways to call a layer. The plain way is one call on new arrays with the gradients of all of them.

The frameworks implement them. Every way must give the same result as the plain call, or raise an exception.
"""

from __future__ import annotations

PLAIN = "plain"

NOT_APPLICABLE = "does not apply to this kind of code"
"""Why a way to call is not checked where the code offers no such way."""

WITHOUT_GRADIENT = ("no grad", "inference mode")
"""Grad modes of evaluation and inference code."""

FROZEN = ("x alone", "weight alone", "bias alone", "x and weight", "x and bias", "weight and bias")
"""Which of input, weight and bias require a gradient; the others are frozen."""

COPIES = ("deep copy", "pickle")
"""Copies of a module: the copy must return what the original returns."""

EVALUATED = ("evaluation mode", "x alone, in evaluation mode")
"""A module in evaluation mode, trained on small numbers and called on a smaller batch first; trained on large ones,
and with frozen parameters."""

NOT_RETURNED = "train() or eval() does not return the module"
"""What is reported of a module in evaluation mode, and no fault: nobody calls a layer's by itself."""

CHANGED = ("changed in place", "changed data", "replaced", "loaded")
"""Calls in evaluation mode before and after the parameters of a module are given other values, in this way."""

REUSED = ("rewritten storage", "accumulated gradient", "two threads")
"""A first call with other values in the same memory; two backward passes into .grad, halved; calls from two threads."""

GRAPH_AGAIN = "same graph again"
"""The gradients of a second backward pass through the graph of one call, which a first pass has left."""

WITHIN = ("one thread inside", "two threads inside")
"""Numbers of threads among which the framework divides the work of one call."""

FUNCTIONAL = ("vjp", "jacrev", "vmap")
"""Function transforms: a vector-Jacobian product, the Jacobian by rows, and one input of a batched stack."""

CHECKPOINT, AUTOCAST, WIDE = "checkpoint", "autocast", "wide parameters"
"""Recomputation in the backward pass; automatic mixed precision; a narrow input with parameters in the wide format."""

WIDENED = ("weight", "bias", "running_mean", "running_var")
"""The arrays of a case that have the wide format under `WIDE`."""

JVP, SECOND = "jvp", "second derivative"
"""Forward-mode derivative along the case's tangent; backward pass through the backward pass."""

COMPILED, EXPORTED = "compiled", "exported"
"""Compiled by the framework's compiler; exported as a graph."""

COMPILED_FOR_BATCHES = "compiled for several batches"
"""Compiled once and called with batches of other sizes first."""

EXPORTED_FOR_ONE, EXPORTED_FOR_ANY = "exported for one batch", "exported for any batch"
ONNX_FOR_ONE, ONNX_FOR_ANY = "onnx for one batch", "onnx for any batch"
"""Exported as a graph, or as a model of ONNX that its runtime runs: from an input of other values and of the same size;
or of another number of cases too, with that number left open."""

TRANSLATED = (COMPILED_FOR_BATCHES, EXPORTED_FOR_ONE, EXPORTED_FOR_ANY, ONNX_FOR_ONE, ONNX_FOR_ANY)
"""Calls of a program that a tool makes of the code; checks ask them only if the contract demands that."""

SLOW = (COMPILED, EXPORTED, *TRANSLATED)
"""The ways that run a compiler or an exporter first, for seconds."""

WITHOUT_BACKWARD = (EXPORTED, *TRANSLATED[1:])
"""Exported programs, which have a forward pass only."""

OBSERVED = "observed"
"""A plain call that records which operators of the framework were called; information only."""

OF_FUNCTIONS = (
    *WITHOUT_GRADIENT, *FROZEN, *REUSED, GRAPH_AGAIN, *WITHIN, *FUNCTIONAL, CHECKPOINT, AUTOCAST, WIDE, JVP, SECOND,
    COMPILED, OBSERVED, *TRANSLATED,
)  # fmt: skip
ALL = (*OF_FUNCTIONS, *COPIES, *EVALUATED, *CHANGED, EXPORTED)


def asks(use: str) -> tuple[bool, bool, bool]:
    """Whether input, weight and bias require a gradient under a use.

    >>> asks("x and bias")
    (True, False, True)
    """
    if use not in (*FROZEN, EVALUATED[1]):
        return True, True, True
    words = use.partition(",")[0].split()
    return "x" in words, "weight" in words, "bias" in words
