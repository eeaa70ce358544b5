"""What a process has used, and the processors that it may use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Used:
    """What a process has used so far."""

    cpu: float
    wakes: int


def used(pid: int) -> Used:
    """Seconds of computing, kernel included, and how often its threads were woken."""
    cpu, wakes = 0, 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        cpu += int((task / "schedstat").read_text().split()[0])
        status = (task / "status").read_text()
        wakes += int(status.split("voluntary_ctxt_switches:", 1)[1].split()[0])
    return Used(cpu / 1e9, wakes)


def resident_kb(pid: int, field: str = "VmRSS") -> int:
    """The memory of a process that is resident, or at its peak (`VmHWM`), in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{field}:", 1)[1].split()[0])


def reset_peak(pid: int) -> None:
    """Lets the peak of a process begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def pin(pid: int, processors: Iterable[int]) -> None:
    """Lets all threads of a process, and those that it makes later, run on these processors alone."""
    wanted = set(processors)
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end meanwhile.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), wanted)


@contextmanager
def pinned(pids: Iterable[int], processor: int) -> Iterator[None]:
    """Keeps processes on one processor, and gives them back those that they had."""
    before = {pid: os.sched_getaffinity(pid) for pid in pids}
    for pid in before:
        pin(pid, [processor])
    try:
        yield
    finally:
        for pid, processors in before.items():
            with suppress(FileNotFoundError):
                pin(pid, processors)
