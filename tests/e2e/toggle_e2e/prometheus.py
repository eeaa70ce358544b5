"""A real Prometheus on loopback, as Debian packages it: it reads the alert rules and scrapes the bot.

The package is fetched and unpacked into the cache. Nothing is installed and no
service is started. Where both programs are in the PATH already, they are taken.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from .cache import cache_root, lock, say
from .net import free_port, uninterrupted, wait_for

PACKAGE = "prometheus"
PROGRAMS = ("prometheus", "promtool")
INTERVAL = 1
"""Seconds from one scrape to the next."""
JOB = "toggle"

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PrometheusError(RuntimeError):
    """Prometheus could not be fetched or started, or refused what it was asked."""


@dataclass(frozen=True)
class Sample:
    """One series of an answer, with its value now."""

    labels: dict[str, str]
    value: float


def ensure_prometheus() -> dict[str, str]:
    """Gives the paths of both programs, fetched where they are missing."""
    found = {name: shutil.which(name) for name in PROGRAMS}
    if all(found.values()):
        return {name: str(path) for name, path in found.items()}
    folder = cache_root() / f"prometheus-debian-{_architecture()}"
    programs = {name: folder / "usr" / "bin" / name for name in PROGRAMS}
    if not folder.is_dir():
        with lock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _fetch(folder)
    return {name: str(path) for name, path in programs.items()}


def _architecture() -> str:
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise PrometheusError(
            "prometheus and promtool are needed to test the alerts, and there is no apt-get to fetch Debian's package:"
            " put both into the PATH."
        )
    return subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()


def _fetch(folder: Path) -> None:
    say(f"making {folder} (20 MB, Debian's package)")
    made = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        done = _download(made)
        if done.returncode != 0 and os.geteuid() == 0:
            # A fresh image has no package lists.
            subprocess.run(["apt-get", "update"], check=False, capture_output=True, timeout=300)
            done = _download(made)
        packages = list(made.glob("*.deb"))
        if done.returncode != 0 or len(packages) != 1:
            raise PrometheusError(
                f"`apt-get download {PACKAGE}` failed, run `apt-get update` as root and try again:"
                f" {done.stderr.strip()[-500:]}"
            )
        unpacked = made / "unpacked"
        subprocess.run(["dpkg", "-x", str(packages[0]), str(unpacked)], check=True, timeout=120)
        unpacked.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _download(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["apt-get", "download", PACKAGE], cwd=folder, check=False, capture_output=True, text=True, timeout=300
    )


def promtool(*arguments: str, given: str | None = None) -> str:
    """Runs promtool and gives what it wrote; a fault it finds is an error."""
    done = subprocess.run(
        [ensure_prometheus()["promtool"], *arguments],
        input=given,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != 0:
        raise PrometheusError(f"promtool {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def impatient(rules: Path, target: Path) -> None:
    """The same rules without the time that a fault has to last; promtool looks at that."""
    text, changed = re.subn(r"^( +for:) .*$", r"\1 0s", rules.read_text(), flags=re.MULTILINE)
    assert changed
    target.write_text(text)


class Prometheus:
    """One server that scrapes some addresses and evaluates some rules, each second."""

    def __init__(self, workdir: Path, targets: Iterable[str], rules: Path) -> None:
        self._program = ensure_prometheus()["prometheus"]
        self.workdir = workdir
        workdir.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._config = workdir / "prometheus.yml"
        self._output = workdir / "output.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._config.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": f"{INTERVAL}s", "evaluation_interval": f"{INTERVAL}s"},
                    "rule_files": [str(rules.resolve())],
                    "scrape_configs": [
                        {
                            "job_name": JOB,
                            # As the ServiceMonitor of the chart has it.
                            "honor_labels": True,
                            # What a cluster's service discovery would add.
                            "static_configs": [{"targets": list(targets), "labels": {"namespace": "clawdbot"}}],
                        }
                    ],
                }
            )
        )

    def __enter__(self) -> Prometheus:
        uninterrupted(self._spawn)
        try:
            wait_for("Prometheus to be ready", self._is_ready, 30, 0.1, self.tail)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _spawn(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    self._program,
                    f"--config.file={self._config}",
                    f"--storage.tsdb.path={self.workdir / 'data'}",
                    f"--web.listen-address={urllib.parse.urlsplit(self.url).netloc}",
                ],
                cwd=self.workdir,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise PrometheusError("Prometheus ended while it was starting:\n" + self.tail())
        try:
            with _OPENER.open(self.url + "/-/ready", timeout=2) as answer:
                return int(answer.status) == 200
        except OSError:
            return False

    def stop(self) -> None:
        """Ends the server; its data are not needed again."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()

    def tail(self) -> str:
        """The end of what it wrote."""
        return "\n".join(self._output.read_text(errors="replace").splitlines()[-25:]) if self._output.exists() else ""

    def query(self, expression: str) -> list[Sample]:
        """Evaluates an expression now."""
        data = self._get("/api/v1/query", query=expression)
        if data["resultType"] != "vector":
            raise PrometheusError(f"{expression} gives a {data['resultType']}, not a vector")
        return [Sample(series["metric"], float(series["value"][1])) for series in data["result"]]

    def value(self, expression: str) -> float | None:
        """The value of an expression with one series at most; `None` where there is none."""
        samples = self.query(expression)
        if len(samples) > 1:
            raise PrometheusError(f"{expression} has {len(samples)} series: {samples}")
        return samples[0].value if samples else None

    def answers(self, expression: str) -> list[Sample]:
        """The same for an expression of a dashboard, with any value for Grafana's variables."""
        expression = re.sub(r"\$__(rate_)?interval", "1m", expression)
        return self.query(re.sub(r"\$\w+", ".*", expression))

    def scrapes(self) -> bool:
        """Whether the last scrape of each address was taken in."""
        found = self.query("up")
        return bool(found) and all(sample.value == 1 for sample in found)

    def alerts(self) -> dict[str, str]:
        """The alerts that are not inactive, with their state: pending or firing."""
        return {alert["labels"]["alertname"]: alert["state"] for alert in self._get("/api/v1/alerts")["alerts"]}

    def rule_faults(self) -> list[str]:
        """The errors of the last evaluation of each rule."""
        groups = self._get("/api/v1/rules")["groups"]
        return [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        try:
            with _OPENER.open(self.url + path + query, timeout=10) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
                return data
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"{path} {parameters}: {error.read().decode(errors='replace')}") from error
