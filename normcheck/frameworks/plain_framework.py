"""What a framework offers if its code is called plainly: the rest of `frameworks.protocol`, which others replace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normcheck.core.contract import Contract
from normcheck.core.errors import UsageError
from normcheck.frameworks.forms.form import FormArrays
from normcheck.frameworks.protocol import FunctionStyle, Transforming
from normcheck.frameworks.roles import Parameter, from_signature
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call


class PlainFramework:
    """Functions of contiguous arrays, with the names of their signatures, and nothing beyond (`Framework`)."""

    layouts: tuple[str, ...] = ()
    styles: tuple[FunctionStyle, ...] = (
        FunctionStyle(),
        FunctionStyle(shape_as=int),
        FunctionStyle(always_state=True),
        FunctionStyle(flat_weight=True),
    )
    uses: tuple[str, ...] = ()
    layer_uses: tuple[str, ...] = ()
    watched = False
    compiles_per_shape = False
    form_arrays: FormArrays | None = None

    def parameters(self, target: Any, normalizer: Normalizer) -> tuple[Any, list[Parameter]]:
        found = from_signature(target) or self.documented(target)
        if not found:
            raise UsageError(f"it has no named parameters, such as {', '.join(normalizer.arguments)}")
        return target, found

    def documented(self, target: Any) -> list[Parameter]:
        """The parameters of a function without a signature, if its documentation names them."""
        return []

    def unsupported(self, target: Any) -> Mapping[str, str]:
        return {}

    def trained_only(self, function_: Any, normalizer: Normalizer) -> bool:
        return False

    def composition(self, normalizer: Normalizer, contract: Contract) -> None:
        return None

    def trial(self, call: Call) -> Call:
        return call

    def transforming(self, function_: Any, binding: Any, name: str) -> Transforming | None:
        return None
