"""The form channels-last: the input of a normalizer of channels has these last, as (cases, *space, channels)."""

from __future__ import annotations

from typing import Any

from normcheck.frameworks.forms.form import FormCall, FormQuestion, FormSpec, Given, with_first
from normcheck.normalizers.forms import PLAIN


def _given(question: FormQuestion) -> Given:
    return {"input": question.arrays.moved(question.x, 1, -1)}


def _taken(returned: Any, given: Given, question: FormQuestion) -> Any:
    return with_first(returned, lambda y: question.arrays.moved(y, -1, 1))


FORM = FormSpec({}, {PLAIN: FormCall(_given, _taken)}, outermost=True)
