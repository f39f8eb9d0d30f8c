"""Container images for the tests: an OCI layout in a tar, made of files, and its import into the server under test."""

import gzip
import hashlib
import io
import json
import pathlib
import platform
import tarfile
import urllib.parse
import urllib.request

# A runtime in a few lines of shell; busybox is all that it needs.
RUN = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
  event=$(wget -q -S -O - "$api/next" 2>/tmp/head) || exit 1
  id=$(sed -n 's/^ *[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p' /tmp/head | tr -d '\\r')
  wget -q -O /dev/null --post-data="{\\"version\\":\\"$(cat /version)\\",\\"args\\":\\"$*\\",\\"pwd\\":\\"$(pwd)\\"}" "$api/$id/response"
done
"""


def layer(files):
    """A tar of files by path: bytes or text, a path of this host, or `-> target` for a link. All are executable."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            if isinstance(content, pathlib.Path):
                archive.add(content, path, recursive=True)
                continue
            entry = tarfile.TarInfo(path)
            entry.mode = 0o755
            if isinstance(content, str) and content.startswith("-> "):
                entry.type, entry.linkname = tarfile.SYMTYPE, content[3:]
                archive.addfile(entry)
                continue
            data = content.encode() if isinstance(content, str) else content
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def archive(layers, config):
    """The OCI layout of an image, and the hexadecimal digest of its manifest."""
    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    packed = [blob(gzip.compress(tar, 1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip") for tar in layers]
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    diff_ids = ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in layers]
    document = {"architecture": architecture, "os": "linux", "config": config,
                "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config = blob(json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json")
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": packed}).encode(), kind)
    index = {"schemaVersion": 2, "manifests": [manifest]}
    files = blobs | {"index.json": json.dumps(index).encode(), "oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    return layer(files), manifest["digest"].removeprefix("sha256:")


def shell(version, **config):
    """An image whose function answers with this version."""
    tools = {f"bin/{tool}": "-> busybox" for tool in ("sh", "wget", "sed", "tr", "cat")}
    base = layer({"bin/busybox": pathlib.Path("/bin/busybox").read_bytes()} | tools | {"start": RUN})
    return archive([base, layer({"version": version})], {"Entrypoint": ["/start"]} | config)


def put(server, name, image):
    """Imports an image under a name and tag; what the server says of it."""
    token = (pathlib.Path(server.data_dir) / "token").read_text().strip()
    url = f"{server.endpoint}/api/v1/images?name={urllib.parse.quote(name, safe='')}"
    request = urllib.request.Request(url, data=image, headers={"Authorization": f"Bearer {token}"}, method="POST")
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)
