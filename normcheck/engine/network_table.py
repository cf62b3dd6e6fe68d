"""The table of the field as a record: the rows of kinds and of targets, measured now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from normcheck import families
from normcheck.core.errors import UsageError
from normcheck.core.network_table import COLUMNS, NetworkFunction, row
from normcheck.core.result import number


def record(kinds: Sequence[str] = (), targets: Sequence[str] = ()) -> dict[str, Any]:
    """Rows of kinds, all that have one where neither is named, and of targets without an entry.

    Raises `UsageError` for an unknown kind, for one that is no layer of a network of its own and so has no row here,
    and for a target that cannot be loaded or called.
    """
    for kind in kinds:
        if families.of(entry := families.get(kind)).network(entry) is None:
            raise UsageError(
                f"{kind} has no row in the table of the field, which measures single layers of a network; the columns "
                f"that it has are measured on an implementation: normcheck table {kind}=mypkg.layers:mine"
            )
    names = tuple(kinds) or (() if targets else tuple(families.ENTRIES))
    rows = [made for name in names if (made := _kind(families.get(name))) is not None]
    for target in targets:
        name, networks = families.networks_of(target)
        rows.append({"kind": name, "title": "", "paper": "", "printed": False, "cells": _weakest(networks)})
    columns = [{"name": c.name, "head": list(c.head), "law": c.law} for c in COLUMNS]
    return {"columns": columns, "rows": rows}


def _kind(entry: Any) -> dict[str, Any] | None:
    network = families.of(entry).network(entry)
    if network is None:
        return None
    return {
        "kind": entry.name, "title": entry.title, "paper": str(entry.paper),
        "printed": bool(families.printed(entry)), "cells": _cells(network),
    }  # fmt: skip


def _cells(network: NetworkFunction) -> dict[str, Any]:
    return {
        name: {"holds": cell.holds, "ratio": number(cell.ratio), "tries": cell.tries, "witness": cell.witness}
        for name, cell in row(network).items()
    }


def _weakest(networks: Sequence[NetworkFunction]) -> dict[str, Any]:
    """Of each cell the one that departs most: a law holds only where it holds on every network."""
    found = [_cells(network) for network in networks]
    return {name: max((cells[name] for cells in found), key=lambda one: float(one["ratio"])) for name in found[0]}
