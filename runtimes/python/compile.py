"""Compiles the Python modules below a folder for Flint and hands them out on descriptor 3.

Run as `python3 -S -E -s -c TEXT FOLDER` in a sandbox of its own: no module of the folder is executed. Each compiled module is
sent as two lengths (big-endian, 4 bytes each), its path relative to the folder, and its bytes. What does not compile is left
out: it fails at its import, as it would anyway. Standard library only, Python 3.6 and later.
"""

import sys

sys.path[:] = [path for path in sys.path if path]  # the working folder holds what this program writes

import os
import py_compile
import struct
import warnings
from importlib.util import MAGIC_NUMBER, cache_from_source

MADE = "/tmp/flint.pyc"


def brings_its_own(cached):
    """True for bytecode in the package that Python takes whatever the times of the files are: from 3.7 on, made by hash."""
    try:
        with open(cached, "rb") as file:
            head = file.read(8)
    except OSError:
        return False
    return sys.version_info >= (3, 7) and head[:4] == MAGIC_NUMBER and len(head) == 8 and head[4] & 1 == 1


def modules(folder):
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            source = os.path.join(path, name)
            if name.endswith(".py") and not os.path.islink(source):
                yield source


def send(data):
    view = memoryview(data)
    while view:
        view = view[os.write(3, view):]


def main(folder):
    warnings.simplefilter("ignore")
    settings = {"cfile": MADE, "doraise": True}
    if sys.version_info >= (3, 7):
        # Neither the time nor the text of the source is looked at: a package does not change.
        settings["invalidation_mode"] = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for source in modules(folder):
        cached = cache_from_source(source, optimization="")
        if brings_its_own(cached):
            continue
        try:
            py_compile.compile(source, dfile=source, **settings)
            with open(MADE, "rb") as file:
                data = file.read()
        except Exception:
            continue
        path = os.path.relpath(cached, folder).encode("utf-8", "surrogateescape")
        send(struct.pack(">II", len(path), len(data)) + path + data)


main(sys.argv[1])
