"""From claims to bound subjects: each claim is bound once, in this process or in a process of its own."""

from __future__ import annotations

from dataclasses import replace

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.core.contract import contract
from normcheck.core.errors import CallError, LostError, UsageError
from normcheck.core.family import Family
from normcheck.core.limits import Isolation, Limits
from normcheck.core.subject import BoundSubject
from normcheck.engine.claims import Claim
from normcheck.engine.conditions import run_conditions
from normcheck.frameworks.isolation.native_code import native_code
from normcheck.frameworks.isolation.remote_process import RemoteProcess
from normcheck.frameworks.isolation.remote_subject import RemoteSubject
from normcheck.frameworks.isolation.worker import can_isolate


class ClaimBinder:
    """Binds claims and keeps the result of each, which may be an error."""

    def __init__(self, isolate: Isolation | None, device: str, ranks: int | None) -> None:
        self._isolate, self._device, self._ranks = isolate, device, ranks
        self._bound: dict[Claim, BoundSubject | Exception] = {}
        self._remotes: dict[Claim, RemoteProcess] = {}

    def subject(self, claim: Claim) -> BoundSubject:
        """The bound implementation. Raises what binding raised, at each call."""
        assert claim.implementation is not None, "a claim with an error has no subject"
        if claim not in self._bound:
            try:
                with run_conditions():
                    self._bound[claim] = self._bind(claim, claim.implementation)
            except (UsageError, CallError, LostError) as error:
                self._bound[claim] = error
        found = self._bound[claim]
        if isinstance(found, Exception):
            raise found
        return found

    def renew(self, claim: Claim) -> None:
        """Before each check: a process that was lost may be started again."""
        if claim in self._remotes:
            self._remotes[claim].renew()

    def end(self, claim: Claim) -> None:
        """After the last check: ask the process to end. Raises `LostError` if it does not, or leaves others."""
        if claim in self._remotes:
            self._remotes[claim].end()

    def close(self) -> None:
        """End the processes of isolated implementations."""
        for remote in self._remotes.values():
            remote.close()

    def has_process(self, claim: Claim) -> bool:
        """Whether the implementation of a claim that is bound has a process of its own."""
        return claim in self._remotes

    def _limits(self, implementation: Implementation, family: Family) -> Limits | None:
        """The limits of the process that an implementation has; None where it runs in this one."""
        if self._isolate is None:
            return None
        can_be = can_isolate() and (family.isolate or family.subject) is not None and _is_plain(implementation)
        wanted = self._isolate.every or (can_be and native_code(implementation.target) != "")
        return self._isolate.limits if wanted else None

    def _bind(self, claim: Claim, implementation: Implementation) -> BoundSubject:
        entry = families.get(claim.kind)
        family = families.of(entry)
        if self._device != "cpu" and not family.devices:
            raise UsageError(
                f"{claim.name}: a {claim.kind} runs on the processor alone: check it without --norm-device"
            )
        if family.ranks and self._ranks is not None:
            counted = {**implementation.contract, "ranks": str(self._ranks)}
            implementation = replace(implementation, contract=counted)
        limits = self._limits(implementation, family)
        if limits is None:
            return families.bind(implementation)
        if not isinstance(implementation.target, str):
            raise UsageError(f"{claim.name}: isolation needs a target as text, as in mypkg.kernels:fast_layer_norm")
        if not _is_plain(implementation):
            form = contract(implementation.contract).form
            raise UsageError(f"{claim.name}: form={form} is not isolated yet: check it without --norm-isolate")
        if family.isolate is not None:
            remote = family.isolate(implementation, entry, limits)
        elif family.subject is None:
            raise UsageError(f"{claim.name}: a {claim.kind} is not isolated: check it without --norm-isolate")
        else:
            remote = RemoteSubject(implementation, entry, family.subject, families.bind, limits)
        self._remotes[claim] = remote
        found: BoundSubject = remote.subject()
        return found


def _is_plain(implementation: Implementation) -> bool:
    """Whether a normalizer is called by itself: what surrounds it in a form is called in this process."""
    return contract(implementation.contract).form == contract({}).form
