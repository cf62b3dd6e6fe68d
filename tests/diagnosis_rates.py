"""How often a diagnosis gives the right name first: over code as users write it, by kind and family, and the catalog.

`python tests/diagnosis_rates.py` takes some minutes. The kinds of the main family are diagnosed check by check, over
`tests/user_code/wrong`; the other families by whole runs over the code of strangers, at quick effort.
"""

from __future__ import annotations

from strangers import family, judged, pieces, table
from test_diagnose import BITS, RAISING, WRONG, known_faults, of_catalog, of_user, rate

MAIN = "normalizers"
"""The folder of the main family."""

if __name__ == "__main__":
    shown = [one for one in WRONG if one["fault"] not in BITS | RAISING]
    for kind in dict.fromkeys(one["kind"] for one in shown):
        print(f"{kind}, user code: {rate(of_user(one) for one in shown if one['kind'] == kind)}", flush=True)
    print(f"faults of the catalog: {rate(of_catalog(name) for name in known_faults())}", flush=True)
    others = [one for one in pieces() if one["folder"] == "wrong" and family(one) != MAIN]
    print(*table([(one, judged(one, "quick")) for one in others]), sep="\n")
