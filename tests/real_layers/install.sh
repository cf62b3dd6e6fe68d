#!/bin/sh
# install.sh FOLDER: a virtual environment with the libraries of the survey and this checkout of normcheck.
set -e
here=$(cd "$(dirname "$0")" && pwd)
python3 -m venv "$1"
pip="$1/bin/python -m pip install"
$pip torch==2.13.0
$pip -r "$here/requirements.txt"
$pip --no-deps -r "$here/requirements-alone.txt"
$pip -e "$here/../.." pytest-timeout torch==2.13.0
# torchvision of the registry is built for a torch with CUDA and cannot be imported beside one without. Its layers are Python:
# with these files empty its compiled part is never loaded, and torchvision.ops.misc, .models.convnext and .transforms can be.
site=$("$1/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
: > "$site/torchvision/__init__.py"
: > "$site/torchvision/ops/__init__.py"
: > "$site/torchvision/models/__init__.py"
"$1/bin/python" -c "import torch, torchvision.ops.misc, torchvision.models.convnext, timm.layers, open_clip.transformer; print(torch.__version__)"
