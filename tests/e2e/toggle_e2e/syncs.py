"""Runs a program and counts what it makes durable, one byte a call in a file.

It asks the kernel (ptrace) to be told of each system call, so the program need
not be built for it, and nothing has to be installed. Run as a script.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

# fsync and fdatasync, by the kernel's own name of the machine (AUDIT_ARCH).
_SYNCS = {0xC000003E: (74, 75), 0xC00000B7: (82, 83)}

_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_SYSGOOD, _CLONE, _EXEC, _EXITKILL = 1, 8, 16, 0x100000
_WALL = 0x40000000
_ENTRY = 1


class _Info(ctypes.Structure):
    """The kernel's `ptrace_syscall_info`, as far as it is of use here."""

    _fields_ = [
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
    ]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, process: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, process, address, data) == -1:
        error = ctypes.get_errno()
        # A thread that ended meanwhile says so by itself.
        if error != 3:
            raise OSError(error, f"ptrace: {os.strerror(error)}")


def launcher(directory: Path, program: Path) -> tuple[Path, Path]:
    """A script that runs the program counted, and the file whose size is the count."""
    counts = directory / f"{program.name}.syncs"
    counts.touch()
    script = directory / f"{program.name}.counted"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -B "{__file__}" "{counts}" "{program}"\n')
    script.chmod(0o755)
    return script, counts


def run(counts: str, program: str) -> int:
    """Runs it to its end and gives its exit code."""
    process = os.fork()
    if process == 0:
        _ptrace(_TRACEME, 0)
        os.execv(program, [program])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(process, number))
    count = os.open(counts, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.waitpid(process, 0)
    _ptrace(_SETOPTIONS, process, 0, _SYSGOOD | _CLONE | _EXEC | _EXITKILL)
    _ptrace(_SYSCALL, process)
    info = _Info()
    threads = {process}
    while True:
        thread, status = os.waitpid(-1, _WALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if thread == process:
                return os.waitstatus_to_exitcode(status)
            continue
        stopped, passed_on = os.WSTOPSIG(status), 0
        if stopped == signal.SIGTRAP | 0x80:
            _ptrace(_GET_SYSCALL_INFO, thread, ctypes.sizeof(info), ctypes.addressof(info))
            if info.op == _ENTRY and info.number in _SYNCS.get(info.arch, ()):
                os.write(count, b".")
        elif not status >> 16 and (stopped != signal.SIGSTOP or thread in threads):
            passed_on = stopped
        threads.add(thread)
        _ptrace(_SYSCALL, thread, 0, passed_on)


if __name__ == "__main__":
    code = run(sys.argv[1], sys.argv[2])
    sys.exit(code if code >= 0 else 128 - code)
