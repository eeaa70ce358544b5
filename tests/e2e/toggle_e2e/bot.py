"""The binary under test as a process: its environment, its log, its memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .net import uninterrupted

NAME = "openclaw-k8s-toggle-operator"
LISTENING = "listening"


def default_binary() -> Path:
    """The release binary for this machine, unless `BOT_BINARY` names another."""
    given = os.environ.get("BOT_BINARY")
    if given:
        return Path(given).resolve()
    repository = Path(__file__).resolve().parents[3]
    target = Path(os.environ.get("CARGO_TARGET_DIR", repository / "target"))
    return (repository / target / f"{os.uname().machine}-unknown-linux-musl" / "release" / NAME).resolve()


@dataclass(frozen=True)
class Memory:
    """What the kernel says a process uses, in kB."""

    resident: int
    anonymous: int
    peak: int


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    seconds: float


@dataclass(frozen=True)
class LogLine:
    """A line of the bot's log and when it was written."""

    text: str
    at: float


_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Bot:
    """One bot: it can be started, ended and started again on the same store."""

    def __init__(self, settings: dict[str, str], binary: Path | None = None, runner: tuple[str, ...] = ()) -> None:
        self.settings = dict(settings)
        self.binary = binary or default_binary()
        self.runner = runner
        """What runs the binary, where the kernel cannot: an emulator."""
        self.log: list[LogLine] = []
        """All lines of all starts."""
        self.starts = 0
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._arrived = threading.Condition()
        self._begin = 0
        self._started = 0.0

    def __enter__(self) -> Bot:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self, wait: bool = True, timeout: float = 20) -> Bot:
        """Starts the process and, unless told otherwise, waits until it takes commands."""
        if self.running:
            raise RuntimeError("the bot runs already")
        self._prepare()
        self._begin = len(self.log)
        self.starts += 1
        self._started = time.monotonic()
        uninterrupted(self._spawn)
        assert self._process
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if wait:
            self.wait_listening(timeout)
        return self

    def _prepare(self) -> None:
        """Looks that there is something to start."""
        if not self.binary.is_file():
            raise RuntimeError(f"there is no binary at {self.binary}: make release builds it")

    def _command(self) -> tuple[list[str], dict[str, str]]:
        """What is started, and its environment."""
        # Nothing of the caller's environment: a test must not pass by what the machine happens to set.
        return [*self.runner, str(self.binary)], self.settings

    def _spawn(self) -> None:
        command, environment = self._command()
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            at = time.monotonic()
            with self._arrived:
                self.log.append(LogLine(_STYLE.sub("", line.rstrip("\n")), at))
                self._arrived.notify_all()
        with self._arrived:
            self._arrived.notify_all()

    def wait_log(self, part: str, timeout: float = 20, since: int | None = None) -> LogLine:
        """Waits for a line of this start (or since a mark) that contains a text."""
        position = self._begin if since is None else since
        deadline = time.monotonic() + timeout
        with self._arrived:
            while True:
                while position < len(self.log):
                    line = self.log[position]
                    if part in line.text:
                        return line
                    position += 1
                left = deadline - time.monotonic()
                if not self.running and self._reader and not self._reader.is_alive():
                    raise RuntimeError(f"the bot ended before it logged {part!r}:\n{self.tail()}")
                if left <= 0:
                    raise TimeoutError(f"the bot did not log {part!r} within {timeout:g} s:\n{self.tail()}")
                self._arrived.wait(min(left, 0.2))

    def wait_listening(self, timeout: float = 20) -> float:
        """Waits until it takes commands and gives the seconds since its start."""
        return self.wait_log(LISTENING, timeout).at - self._started

    def log_mark(self) -> int:
        """A place in the log, for `wait_log(since=…)`."""
        return len(self.log)

    def lines(self, since: int | None = None) -> list[str]:
        """What this start has logged, or everything since a mark."""
        return [line.text for line in self.log[self._begin if since is None else since :]]

    def tail(self, count: int = 60) -> str:
        """The end of the log over all starts, for a failure's report."""
        return "\n".join(line.text for line in self.log[-count:])

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def wait_end(self, timeout: float = 20) -> Ended:
        """Waits for the process to end by itself."""
        assert self._process and self._reader
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the bot did not end within {timeout:g} s:\n{self.tail()}") from None
        seconds = time.monotonic() - self._started
        self._reader.join(5)
        return Ended(code, seconds)

    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = 10) -> Ended:
        """Asks the process to stop and gives its code and the seconds it took."""
        asked = time.monotonic()
        self._signal(number)
        code = self.wait_end(timeout).code
        return Ended(code, time.monotonic() - asked)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def kill(self) -> None:
        """Takes the process away at once, as a dying node would."""
        if self.running:
            self.end(signal.SIGKILL)
        elif self._reader:
            self._reader.join(5)

    def restart(self) -> Bot:
        """Ends it as a cluster would and starts it again on the same store."""
        ended = self.end()
        if ended.code != 0:
            raise RuntimeError(f"the bot ended with {ended.code}:\n{self.tail()}")
        return self.start()

    def freeze(self) -> None:
        """Stops the process where it is; `thaw` lets it go on."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets a frozen process go on."""
        self._signal(signal.SIGCONT)

    def memory(self) -> Memory:
        """What the process uses now."""
        found = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if ":" in line
        )

        def kilobytes(name: str) -> int:
            return int(found[name].split()[0])

        return Memory(kilobytes("VmRSS"), kilobytes("RssAnon"), kilobytes("VmHWM"))


def run_to_end(
    settings: dict[str, str], arguments: tuple[str, ...] = (), timeout: float = 20, binary: Path | None = None
) -> tuple[int, str]:
    """Runs the binary once and gives its exit code and all it wrote."""
    done = subprocess.run(
        [str(binary or default_binary()), *arguments],
        env=settings,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )
    return done.returncode, _STYLE.sub("", done.stdout.decode("utf-8", "replace"))
