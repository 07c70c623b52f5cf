"""Reads archives, one in hex a line, as Python's own readers do; answers each with a line of JSON: its files, or null.

For zipfile and for tarfile: a list of [name, SHA-256 of the content] in the order of the archive; null where it refuses it."""
import hashlib
import io
import json
import sys
import tarfile
import zipfile


def digest(data):
    return hashlib.sha256(data).hexdigest()


def zipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [[info.filename, digest(archive.read(info))] for info in archive.infolist() if not info.is_dir()]


def tarred(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return [[m.name, digest(archive.extractfile(m).read()) if m.isreg() else m.linkname] for m in archive if not m.isdir()]


def read(reader, data):
    try:
        return reader(data)
    except Exception:  # Whatever it is called, it has read nothing of it.
        return None


for line in sys.stdin:
    archive = bytes.fromhex(line)
    print(json.dumps([read(zipped, archive), read(tarred, archive)]))
