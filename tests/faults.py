"""A disk that refuses to be written from the k-th write on; what is written by Python counts."""

import builtins
import contextlib
import errno
import io
import os
import re


class Disk:
    """Attributes: writes, what was written under the root, as `kind of write, name without numbers`."""

    def __init__(self, root, first=None, reason=errno.ENOSPC):
        """
        Args:
            root: below which writes count.
            first: the number of the first write that is refused; None: none is.
            reason: ENOSPC or EROFS.
        """
        self.root, self.first, self.reason, self.writes = str(root), first, reason, []

    def _refuses(self, kind, path):
        if isinstance(path, int) or not os.fspath(path).startswith(self.root):
            return False
        name = re.sub(r"[0-9a-f]{8}\b|\d+", "", os.path.relpath(path, self.root))
        self.writes.append(f"{kind} {name}")
        return self.first is not None and len(self.writes) > self.first

    def _failing(self, kind, function, which):
        def call(*arguments, **named):
            if self._refuses(kind, arguments[which]):
                raise OSError(self.reason, os.strerror(self.reason), arguments[which])
            return function(*arguments, **named)

        return call

    def _open(self, original):
        def call(path, mode="r", *arguments, **named):
            if set("wax+") & set(mode) and self._refuses("open", path):
                if self.reason == errno.EROFS or mode == "a+":  # what is locked has to be a file
                    raise OSError(self.reason, os.strerror(self.reason), path)
                path = "/dev/full"  # opens, and refuses every byte
            return original(path, mode, *arguments, **named)

        return call

    @contextlib.contextmanager
    def mounted(self, monkeypatch):
        with monkeypatch.context() as patch:
            for module in (builtins, io):
                patch.setattr(module, "open", self._open(open))
            patch.setattr(os, "mkdir", self._failing("mkdir", os.mkdir, 0))
            for name in ("rename", "replace") if self.reason == errno.EROFS else ():  # a full disk lets one rename
                patch.setattr(os, name, self._failing(name, getattr(os, name), 1))
            yield self
