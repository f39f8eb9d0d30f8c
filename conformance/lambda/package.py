"""Zip packages of the functions beside this file."""

import io
import pathlib
import zipfile

FUNCTIONS = pathlib.Path(__file__).resolve().parent / "functions"


def read(name):
    """Text of a function file."""
    return (FUNCTIONS / name).read_text()


def package(files):
    """A zip of texts or bytes by path; `bootstrap` and names without a dot are executable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path)
            executable = "." not in pathlib.PurePath(path).name
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return buffer.getvalue()
