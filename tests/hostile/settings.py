"""Changes a setting of its process."""

import os
import resource
import sys
import warnings

import torch
from sound import f as right


def doing(act):
    def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        act()
        return right(x, normalized_shape, weight, bias, eps)

    return f


umask = doing(lambda: os.umask(0))
open_files = doing(
    lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
)
file_size = doing(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
cpu_time = doing(lambda: resource.setrlimit(resource.RLIMIT_CPU, (1 << 20, 1 << 20)))
warning_filters = doing(lambda: warnings.simplefilter("error"))
no_output = doing(lambda: setattr(sys, "stdout", None))
no_modules = doing(lambda: sys.modules.pop("torch", None))
default_format = doing(lambda: torch.set_default_dtype(torch.float64))
folder = doing(lambda: os.chdir("/tmp"))
variable = doing(lambda: os.environ.update(OMP_NUM_THREADS="1", LD_PRELOAD="x"))
