#!/bin/sh
# install.sh FOLDER: a virtual environment with the libraries of the survey and this checkout of normcheck.
set -e
here=$(cd "$(dirname "$0")" && pwd)
python3 -m venv "$1"
pip="$1/bin/python -m pip install -c $here/../../constraints-survey.txt"
$pip torch
$pip -r "$here/requirements.txt"
$pip --no-deps -r "$here/requirements-alone.txt"
$pip -e "$here/../..[report]" pytest-timeout
# torchvision and torchaudio of the registry are built for a torch with CUDA and cannot be imported beside one without. Their
# layers are Python: with these files empty or absent their compiled parts are never loaded, and torchvision.ops.misc,
# .models.convnext and .transforms, and torchaudio, can be imported.
site=$("$1/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
: > "$site/torchvision/__init__.py"
: > "$site/torchvision/ops/__init__.py"
: > "$site/torchvision/models/__init__.py"
rm -f "$site"/torchaudio/lib/*.so
"$1/bin/python" -c "import torch, torchvision.ops.misc, torchvision.models.convnext, timm.layers, open_clip.transformer; print(torch.__version__)"
