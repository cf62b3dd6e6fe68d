"""How often a diagnosis gives the right name first: for each kind over code as users write it, and over the catalog.

`python tests/diagnosis_rates.py` takes some minutes. `tests/strangers.py` does the same for whole runs over the code of
strangers, by family.
"""

from __future__ import annotations

from test_diagnose import BITS, RAISING, WRONG, known_faults, of_catalog, of_user, rate

if __name__ == "__main__":
    shown = [one for one in WRONG if one["fault"] not in BITS | RAISING]
    for kind in dict.fromkeys(one["kind"] for one in shown):
        print(f"{kind}, user code: {rate(of_user(one) for one in shown if one['kind'] == kind)}", flush=True)
    print(f"faults of the catalog: {rate(of_catalog(name) for name in known_faults())}")
