"""Ask every check of all correct code on many random seeds: a broken law is a false alarm.

    python tests/false_alarms.py --seeds 50

Prints the largest share of a bound that each check saw, and every alarm with its case. Exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

from normcheck import expected
from normcheck.adapters.bind import one_thread, subject
from normcheck.checks import ALL
from normcheck.claim import Implementation
from normcheck.draws import formats
from normcheck.result import FAILED
from normcheck.sweep import draws, sweep

HERE = Path(__file__).parent
TORCH = (
    ("layer_norm", "torch.nn.functional:layer_norm"),
    ("rms_norm", "torch.nn.functional:rms_norm"),
    ("batch_norm", "torch.nn.functional:batch_norm"),
    ("batch_norm", "torch.nn:BatchNorm2d"),
    ("group_norm", "torch.nn.functional:group_norm"),
    ("instance_norm", "torch.nn.functional:instance_norm"),
    ("weight_norm", "torch:_weight_norm"),
)


def implementations() -> list[Implementation]:
    """torch's own functions and every file of tests/user_code/correct."""
    listed = json.loads((HERE / "user_code" / "correct.json").read_text())
    mine = [Implementation(one["kind"], str(HERE.parent / one["target"])) for one in listed]
    return [Implementation(*pair) for pair in TORCH] + mine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--examples", type=int, default=20, help="cases per check and seed")
    parser.add_argument("--only", default="", help="part of a target's name")
    options = parser.parse_args()
    alarms, asked, top = 0, 0, dict.fromkeys((check.name for check in ALL), 0.0)
    for implementation in implementations():
        if options.only not in implementation.name:
            continue
        bound = subject(implementation)
        for check in ALL:
            known = expected.of(bound.name, check.name)  # what torch is known to get wrong is not asked
            one = bound if known is None else expected.without(bound, known)
            if not check.concerns(one.normalizer) or check.lacks(one) or not formats(check.space, one.domain):
                continue
            if check.least == "deep":  # compiling takes seconds for each case
                continue
            seeds = options.seeds if check.cost < math.inf else 1
            for seed in range(options.first, options.first + seeds):
                outcome = sweep(one, check, draws(one, check, options.examples, seed))
                asked += 1
                top[check.name] = max(top[check.name], outcome.share)
                if outcome.status == FAILED:
                    alarms += 1
                    print(f"ALARM {one.name} {check.name} seed {seed}: {outcome.status} {outcome.finding}", flush=True)
    for name, share in top.items():
        print(f"{name:<45}{share:.3f}")
    print(f"{alarms} alarms in {asked} questions")
    return int(alarms > 0)


if __name__ == "__main__":
    with one_thread():
        sys.exit(main())
