"""Unpacks the vocabularies and chat templates of a source package.

Usage: unpack.py ARCHIVE FOLDER
"""

import sys
import tarfile
from pathlib import Path


def main(archive, folder):
    with tarfile.open(archive) as tar:
        for member in tar:
            _, found, name = member.name.partition("/vendor/llama.cpp/models/")
            if found and member.isfile():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(tar.extractfile(member).read())


main(*sys.argv[1:])
