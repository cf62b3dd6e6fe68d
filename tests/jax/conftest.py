"""Code under test is imported by its tests, where its library is installed, and is not collected for doctests.

JAX has several devices here, as a run of a divided normalizer makes it have: another test may start it before.
"""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")

collect_ignore = ["code"]
