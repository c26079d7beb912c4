"""A disk that refuses to be written from the k-th write on."""

import builtins
import contextlib
import errno
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock


class Disk:
    """A disk that refuses to be written from the k-th write on; what is written by Python counts.

    Attributes:
        writes: what was written under the root, as `kind of write, name without numbers`.
    """

    def __init__(self, root: Path, first: int | None = None, reason: int = errno.ENOSPC) -> None:
        """
        Args:
            root: below which writes count.
            first: the number of the first write that is refused; None: none is.
            reason: ENOSPC or EROFS.
        """
        self.root, self.first, self.reason, self.writes = str(root), first, reason, []

    def _refuses(self, kind: str, path: Any) -> bool:
        if isinstance(path, int) or not os.fspath(path).startswith(self.root):
            return False
        name = re.sub(r"[0-9a-f]{8}\b|\d+", "", os.path.relpath(path, self.root))
        self.writes.append(f"{kind} {name}")
        return self.first is not None and len(self.writes) > self.first

    def _failing(self, kind: str, function: Callable[..., Any], which: int) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._refuses(kind, arguments[which]):
                raise OSError(self.reason, os.strerror(self.reason), arguments[which])
            return function(*arguments, **named)

        return call

    def _open(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            if set("wax+") & set(mode) and self._refuses("open", path):
                if self.reason == errno.EROFS or mode == "a+":  # what is locked has to be a file
                    raise OSError(self.reason, os.strerror(self.reason), path)
                path = "/dev/full"  # opens, and refuses every byte
            return original(path, mode, *arguments, **named)

        return call

    @contextlib.contextmanager
    def mounted(self) -> Iterator["Disk"]:
        with contextlib.ExitStack() as patches:

            def put(module: Any, name: str, function: Callable[..., Any]) -> None:
                patches.enter_context(mock.patch.object(module, name, function))

            opens = self._open(open)
            for module in (builtins, io):
                put(module, "open", opens)
            put(os, "mkdir", self._failing("mkdir", os.mkdir, 0))
            for name in ("rename", "replace") if self.reason == errno.EROFS else ():  # a full disk lets one rename
                put(os, name, self._failing(name, getattr(os, name), 1))
            yield self
