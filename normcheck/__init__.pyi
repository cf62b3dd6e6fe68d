from normcheck.api import Verdict as Verdict
from normcheck.api import check as check
from normcheck.core.claim import Implementation as Implementation
from normcheck.core.errors import CallError as CallError
from normcheck.core.errors import FindingsError as FindingsError
from normcheck.core.errors import NormcheckError as NormcheckError
from normcheck.core.errors import UsageError as UsageError
from normcheck.core.events import CheckDone as CheckDone
from normcheck.core.events import CheckStarted as CheckStarted
from normcheck.core.events import ClaimBound as ClaimBound
from normcheck.core.events import ClaimDone as ClaimDone
from normcheck.core.result import Finding as Finding
from normcheck.engine.given_cases import given_cases as given_cases

__version__: str
