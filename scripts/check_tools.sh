#!/bin/sh
# Says in words what is missing to build redvillm from source. Usage: check_tools.sh PYTHON
set -eu
python=$1

complain() {
    echo "redvillm cannot be built here: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 || complain "there is no $python. Install Python 3.11 or newer, or name yours: make PYTHON=python3.12 ..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    complain "$python ($("$python" --version 2>&1 | head -n 1)) is too old, 3.11 or newer is needed. Name another: make PYTHON=python3.12 ..."
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    complain "$python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"
"$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    complain "the headers of $python are missing. On Debian and Ubuntu: apt-get install python3-dev"

compiler=""
for candidate in "${CXX:-c++}" c++ g++ clang++; do
    if command -v "${candidate%% *}" >/dev/null 2>&1; then
        compiler=$candidate
        break
    fi
done
[ -n "$compiler" ] || complain "there is no C++ compiler (c++, g++, clang++, or the one in \$CXX). On Debian and Ubuntu: apt-get install g++"
command -v cmake >/dev/null 2>&1 || complain "there is no CMake. On Debian and Ubuntu: apt-get install cmake; or: python3 -m pip install cmake"
echo "building with $("$python" --version 2>&1), $compiler, $(cmake --version | head -n 1)"
