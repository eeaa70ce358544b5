"""A file system in memory that lacks what network file systems lack, by the kernel's own FUSE protocol.

Specification: linux/fuse.h, version 7.31. Nothing but what a bot with a store needs is answered.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_HEAD = struct.Struct("<IIQQIIIHH")
_LONGEST = 1 << 20
_ROOT = 1
_POSIX_LOCKS, _FLOCK_LOCKS, _DIRECT_IO = 1 << 1, 1 << 10, 1
_OF_FLOCK, _UNLOCK = 1, 2
_NOSUID_NODEV, _DETACH = 6, 2
_SILENT = {2, 36, 42}
"""FORGET, INTERRUPT and BATCH_FORGET have no answer."""


@dataclass(frozen=True)
class Lacks:
    """What is refused, with which error; 0 is nothing."""

    flock: int = 0
    posix_locks: int = 0
    shared_memory: bool = False
    fsync: int = 0


@dataclass
class _Node:
    mode: int
    data: bytearray = field(default_factory=bytearray)


class Volume:
    """Such a file system, mounted on a directory by root."""

    def __init__(self, path: Path, lacks: Lacks) -> None:
        self.path = path
        self._lacks = lacks
        self._nodes = {_ROOT: _Node(stat.S_IFDIR | 0o700)}
        self._names: dict[bytes, int] = {}
        self._device = os.open("/dev/fuse", os.O_RDWR)
        self._libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self._device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        mounted = self._libc.mount(b"toggle", os.fsencode(path), b"fuse.toggle", _NOSUID_NODEV, options.encode())
        if mounted != 0:
            raise OSError(ctypes.get_errno(), "cannot be mounted", str(path))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._libc.umount2(os.fsencode(self.path), _DETACH)
        self._thread.join(10)
        os.close(self._device)

    def files(self) -> set[str]:
        """The names of its files."""
        return {name.decode() for name in self._names}

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, _LONGEST)
            except OSError as error:
                if error.errno in (errno.ENODEV, errno.EBADF):
                    return
                continue
            _, opcode, unique, node, *_ = _HEAD.unpack_from(request)
            if opcode in _SILENT:
                continue
            answer = self._answer(opcode, node, request[_HEAD.size :])
            code, body = (-answer, b"") if isinstance(answer, int) else (0, answer)
            try:
                os.write(self._device, struct.pack("<IiQ", 16 + len(body), code, unique) + body)
            except OSError:
                # Who asked is gone.
                continue

    def _answer(self, opcode: int, node: int, body: bytes) -> bytes | int:
        """The answer's body, or the error."""
        match opcode:
            case 1:
                found = self._names.get(body.rstrip(b"\0"))
                return self._entry(found) if found else errno.ENOENT
            case 3:
                return self._attributes(node)
            case 4:
                return self._set(node, body)
            case 10:
                return errno.ENOENT if self._names.pop(body.rstrip(b"\0"), None) is None else b""
            case 14 | 27:
                return self._opened()
            case 15:
                offset, size = struct.unpack_from("<QI", body, 8)
                return bytes(self._nodes[node].data[offset : offset + size])
            case 16:
                offset, size = struct.unpack_from("<QI", body, 8)
                data = self._nodes[node].data
                data.extend(bytes(max(0, offset - len(data))))
                data[offset : offset + size] = body[40 : 40 + size]
                return struct.pack("<II", size, 0)
            case 17:
                return struct.pack("<QQQQQIIII24x", 1 << 20, 1 << 20, 1 << 20, 999, 999, 4096, 255, 4096, 0)
            case 18 | 25 | 28 | 29 | 34:
                return b""
            case 20 | 30:
                return self._lacks.fsync or b""
            case 26:
                return self._begun()
            case 31 | 32 | 33:
                return self._lock(body)
            case 35:
                return self._create(body)
            case _:
                return errno.ENOSYS

    def _begun(self) -> bytes:
        flags = (_POSIX_LOCKS if self._lacks.posix_locks else 0) | (_FLOCK_LOCKS if self._lacks.flock else 0)
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, 65536, flags, 12, 9, 65536, 1, 16, 0, 0)

    def _create(self, body: bytes) -> bytes:
        _, mode, _, _ = struct.unpack_from("<IIII", body)
        node = max(self._nodes) + 1
        self._nodes[node] = _Node(stat.S_IFREG | stat.S_IMODE(mode))
        self._names[body[16:].rstrip(b"\0")] = node
        return self._entry(node) + self._opened()

    def _set(self, node: int, body: bytes) -> bytes:
        (valid,) = struct.unpack_from("<I", body)
        found = self._nodes[node]
        if valid & 1:
            (mode,) = struct.unpack_from("<I", body, 68)
            found.mode = stat.S_IFMT(found.mode) | stat.S_IMODE(mode)
        if valid & 8:
            (size,) = struct.unpack_from("<Q", body, 16)
            del found.data[size:]
            found.data.extend(bytes(size - len(found.data)))
        return self._attributes(node)

    def _lock(self, body: bytes) -> bytes | int:
        _, _, _, _, kind, _, flags = struct.unpack_from("<QQQQIII", body)
        if kind == _UNLOCK:
            return b""
        return (self._lacks.flock if flags & _OF_FLOCK else self._lacks.posix_locks) or b""

    def _opened(self) -> bytes:
        return struct.pack("<QII", 0, _DIRECT_IO if self._lacks.shared_memory else 0, 0)

    def _raw(self, node: int) -> bytes:
        found = self._nodes[node]
        size = len(found.data)
        owner = (os.getuid(), os.getgid())
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, found.mode, 1, *owner, 0, 4096, 0)

    def _attributes(self, node: int) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + self._raw(node)

    def _entry(self, node: int) -> bytes:
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self._raw(node)
