#!/bin/sh
# Installs into the folder that an image takes, as pip is told to: install.sh PIP-ARGUMENTS
set -eu

/opt/build/bin/pip --python /opt/stature/bin/python install --quiet --no-compile "$@"
cd /opt/stature/lib/python3.*/site-packages
find . -type d -name tests -prune -exec rm -r {} +
find . -type f \( -name '*.a' -o -name '*.h' -o -name '*.c' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \) -delete
PYTHONHASHSEED=0 /opt/stature/bin/python -m compileall -q --invalidation-mode unchecked-hash .
