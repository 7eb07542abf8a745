"""The append-only file of redis-server before version 7: one file, in the directory that holds the append-only directory.

As redis-server 7 does, a start moves it into the append-only directory, where it becomes the base of the log. The manifest is
written first: a crash before the move leaves what the next start takes over in the same way.
"""

from __future__ import annotations

import posixpath

from kvorum.journal.disk import Disk
from kvorum.journal.manifest import FileKind, Manifest, ManifestError, ManifestFile, read_manifest, write_manifest
from kvorum.journal.recovery import RecoveryError, refuse_lost_manifest


def take_over(disk: Disk, path: str, directory: str) -> bool:
    """Move the file ``path`` into ``directory``, which is there, if the log begins with it; whether it was moved.

    :raises RecoveryError: what is in the directory already cannot be used.
    :raises DiskError: it cannot be moved.
    """
    filename = posixpath.basename(path)
    target = posixpath.join(directory, filename)
    if not disk.exists(path) or disk.exists(target):
        return False
    wanted = Manifest(ManifestFile(filename, 1, FileKind.BASE))
    try:
        found = read_manifest(disk, directory, filename)
    except ManifestError as error:
        raise RecoveryError(str(error)) from error
    if found is None:
        refuse_lost_manifest(disk, directory, filename)
        write_manifest(disk, directory, filename, wanted)
    elif found.files != wanted.files:
        return False
    disk.rename(path, target)
    disk.sync_directory(directory)
    disk.sync_directory(posixpath.dirname(path) or ".")
    return True
