#!/usr/bin/env python3
"""Packs files into an image of one layer, as `ctr images import` and `docker load` read it. No container engine is
needed, and the same files give the same image.

usage: pack_image.py OUT.tar NAME:TAG [--entrypoint PROGRAM] [--user UID] [--path DIRECTORIES] [--link FROM=TO]...
       SOURCE=DESTINATION...       a SOURCE may be a directory, which is taken whole
"""
import argparse
import hashlib
import io
import json
import os
import tarfile

ANY_DATE = "1970-01-01T00:00:00Z"


class Layer:
    """The files of an image, with the directories above them."""

    def __init__(self):
        self.file = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.file, mode="w")
        self.directories = set()
        self.directory("tmp", 0o1777)

    def entry(self, path, kind, mode, data=None, target=""):
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.linkname = kind, mode, target
        entry.size = len(data or b"")
        self.tar.addfile(entry, io.BytesIO(data) if data else None)

    def directory(self, path, mode=0o755):
        if path and path not in self.directories:
            self.directory(os.path.dirname(path))
            self.directories.add(path)
            self.entry(path + "/", tarfile.DIRTYPE, mode)

    def link(self, path, target):
        path = path.lstrip("/")
        self.directory(os.path.dirname(path))
        self.entry(path, tarfile.SYMTYPE, 0o777, target=target)

    def add(self, source, path):
        """Takes a file or a directory; links are followed, so that nothing outside is needed."""
        path = path.strip("/")
        if os.path.isdir(source):
            self.directory(path)
            for name in sorted(os.listdir(source)):
                self.add(os.path.join(source, name), f"{path}/{name}")
            return
        self.directory(os.path.dirname(path))
        with open(source, "rb") as file:
            mode = 0o755 if os.access(source, os.X_OK) else 0o644
            self.entry(path, tarfile.REGTYPE, mode, file.read())

    def finish(self):
        self.tar.close()
        return self.file.getvalue()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--entrypoint")
    parser.add_argument("--user", default="")
    parser.add_argument("--path", default="/usr/local/bin:/usr/bin:/bin")
    parser.add_argument("--link", action="append", default=[])
    return parser.parse_args()


def main():
    args = arguments()
    layer = Layer()
    for source, _, path in (one.partition("=") for one in args.files):
        layer.add(source, path)
    for path, _, target in (one.partition("=") for one in args.link):
        layer.link(path, target)
    data = layer.finish()
    digest = hashlib.sha256(data).hexdigest()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "created": ANY_DATE,
        "config": {
            "Env": [f"PATH={args.path}"],
            "User": args.user,
            **({"Entrypoint": [args.entrypoint]} if args.entrypoint else {}),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": ANY_DATE}],
    }
    config = json.dumps(config).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    layer_name = f"{digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [args.name], "Layers": [layer_name]}]
    with tarfile.open(args.out, "w") as image:
        for name, content in [
            (config_name, config),
            (layer_name, data),
            ("manifest.json", json.dumps(manifest).encode()),
        ]:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            image.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    main()
