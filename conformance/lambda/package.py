"""Zip packages of the functions beside this file."""

import io
import pathlib
import subprocess
import tempfile
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


def classes(sources, interfaces, libraries=None):
    """The classes, by path, of Java sources by path: compiled for Java 8 against AWS's interfaces and these jars' bytes."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, text in sources.items():
            (root / "src" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "src" / path).write_text(text)
        class_path = [str(interfaces)]
        for name, jar in (libraries or {}).items():
            (root / name).write_bytes(jar)
            class_path.append(str(root / name))
        command = ["javac", "-nowarn", "-Xlint:-options", "--release", "8", "-cp", ":".join(class_path)]
        command += ["-d", str(root / "classes")] + [str(root / "src" / path) for path in sources]
        subprocess.run(command, check=True)
        made = (path for path in (root / "classes").rglob("*") if path.is_file())
        return {str(path.relative_to(root / "classes")): path.read_bytes() for path in made}
