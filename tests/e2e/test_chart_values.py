"""The values of the Helm chart: what is missing or wrong is refused, in the same places as by the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from toggle_e2e.bot import run_to_end
from toggle_e2e.manifests import CHART, Refused, chart, container_of, pod_of, variables
from toggle_e2e.releases import LEAST, SETS, Values, changed, with_names_like_numbers


def refusal(values: Values, *options: str) -> str:
    """Why the chart is not rendered."""
    with pytest.raises(Refused) as refused:
        chart(values, "toggle", "default", *options)
    return str(refused.value)


def test_all_that_is_missing_is_said_at_once() -> None:
    said = refusal({})
    for sentence in (
        "matrix.user is not set: give the bot's account, such as clawdbot-operator",
        "commands.allowedUsers is empty: list who may give commands as full ids, such as @alice:example.com",
        "targets is empty: name the Deployment to scale, as {name: clawdbot, namespace: clawdbot}",
        "secrets.matrixPassword.name is not set: matrix.authMethod=password needs the name of a Secret",
    ):
        assert said.count(sentence) == 1, said


@pytest.mark.parametrize(
    ("values", "sentences"),
    [
        (changed("matrix.user", ""), ["matrix.user is not set: "]),
        (changed("matrix.homeserver", ""), ["matrix.homeserver is not set: "]),
        (changed("commands.allowedUsers", []), ["commands.allowedUsers is empty: "]),
        (changed("targets", []), ["targets is empty: "]),
        (
            changed("targets", [{"name": "a"}, {"name": "b"}]),
            ["targets has several entries, and a, b without an object: give each the name of what it scales as object"],
        ),
        (
            changed("matrix.authMethod", "token", changed("secrets", {})),
            ["secrets.matrixAccessToken.name is not set: ", "matrix.deviceId is not set: "],
        ),
        (
            changed("matrix.authMethod", "jwt"),
            ["keycloak.url is not set: ", "keycloak.realm is not set: ", "keycloak.clientId is not set: "],
        ),
        (
            changed("matrix.authMethod", "jwt", changed("secrets.jwtSecret.name", "others")),
            ["matrix.jwtLoginType is com.famedly.login.token.oauth, which takes no token made from secrets.jwtSecret"],
        ),
        (
            changed("keycloak.url", "https://keycloak.example.com", SETS["own-token"]),
            ["secrets.jwtSecret is set, and so is keycloak.url: keep "],
        ),
        (
            changed("commands.pinnedIdentities", {"@bob:example.com": "A" * 43}),
            ["commands.pinnedIdentities names @bob:example.com, who may give no commands: "],
        ),
        (
            changed("secrets.matrixPassword.value", "hunter2"),
            ["secrets.matrixPassword has a name and a value: "],
        ),
        (
            changed("proxy.url", "http://a:1", changed("secrets.httpsProxy.name", "b")),
            ["proxy.url is set, and so is secrets.httpsProxy: "],
        ),
        (changed("serviceAccount.create", False), ["serviceAccount.name is not set: "]),
        (
            changed("extraEnv", [{"name": "ECHO_MODE", "value": "no"}]),
            ["extraEnv names ECHO_MODE, which another value sets already: "],
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_with_what_to_do(values: Values, sentences: list[str]) -> None:
    said = refusal(values)
    for sentence in sentences:
        assert sentence in said
    assert len(re.findall(r"^  \S", said, re.MULTILINE)) == len(sentences), said
    assert "hunter2" not in said


def test_a_secret_that_is_null_is_not_there() -> None:
    assert chart(changed("secrets.crossSigningSeed", None)) == chart(LEAST)
    said = refusal(changed("secrets", None))
    assert "secrets.matrixPassword.name is not set: " in said, said


@pytest.mark.parametrize("release", ["1toggle", "a.b"])
def test_a_name_that_no_service_can_have_is_refused(release: str) -> None:
    values = changed("metrics.service.enabled", True)
    with pytest.raises(Refused, match="metrics.service.enabled makes a Service, and .* is no name for one: set "):
        chart(values, release)
    assert chart(LEAST, release) and chart(changed("fullnameOverride", "toggle-1", values), release)


Case = tuple[Any, ...]
"""A value's path, the value and, where it is refused, the program's variable."""

# A value that the schema refuses, and the variable that the program refuses for the same reason.
BAD: list[Case] = [
    ("matrix.homeserver", "ftp://example.com", "MATRIX_HOMESERVER"),
    ("matrix.homeserver", "https://bot:hunter2@example.com", "MATRIX_HOMESERVER"),
    ("matrix.homeserver", "https://example.com/?a=b", "MATRIX_HOMESERVER"),
    ("matrix.user", "@bot", "MATRIX_USER"),
    ("matrix.user", "a bot", "MATRIX_USER"),
    ("matrix.authMethod", "oidc", "AUTH_METHOD"),
    ("commands.allowedUsers", ["@alice:example.com", "alice"], "ALLOWED_USERS"),
    ("commands.allowedUsers", ["@alice"], "ALLOWED_USERS"),
    ("commands.allowedUsers", ["@ali ce:example.com"], "ALLOWED_USERS"),
    ("commands.allowedUsers", ["@alice:example.com,bob"], "ALLOWED_USERS"),
    ("commands.pinnedIdentities", {"@alice:example.com": "A" * 42}, "PINNED_IDENTITIES"),
    ("commands.deviceTrust", "all", "DEVICE_TRUST"),
    ("commands.allowedRooms", ["#ops:example.com"], "ALLOWED_ROOMS"),
    ("commands.allowedRooms", ["!ops"], "ALLOWED_ROOMS"),
    ("commands.requireEncryption", "maybe", "REQUIRE_ENCRYPTION"),
    ("commands.maxAge", "4s", "COMMAND_MAX_AGE"),
    ("commands.maxAge", "61m", "COMMAND_MAX_AGE"),
    ("commands.maxAge", 3601, "COMMAND_MAX_AGE"),
    ("commands.maxAge", "1d", "COMMAND_MAX_AGE"),
    ("commands.echo", "loud", "ECHO_MODE"),
    ("targets", [{"name": "Clawdbot"}], "DEPLOYMENT_NAME"),
    ("targets", [{"name": "a" * 254}], "DEPLOYMENT_NAME"),
    ("targets", [{"name": "a", "namespace": "a.b"}], "DEPLOYMENT_NAMESPACE"),
    ("targets", [{"name": "a", "namespace": "a" * 64}], "DEPLOYMENT_NAMESPACE"),
    ("health.syncMaxAge", "61m", "HEALTH_SYNC_MAX_AGE"),
    ("log.level", "LOUD", "LOGURU_LEVEL"),
    ("proxy.url", "https://proxy.example.com", "HTTPS_PROXY"),
]

GOOD: list[Case] = [
    ("matrix.homeserver", "https://Matrix.example.com/hs/"),
    ("matrix.homeserver", "http://[::1]:8008"),
    ("matrix.homeserver", "example.com:8448"),
    ("matrix.user", "@bot:example.com:8448"),
    ("commands.allowedUsers", ["@alice:example.com", "@alice=b/c:example.com:8448", "@b:[::1]"]),
    ("commands.pinnedIdentities", {"@alice:example.com": f"{'AAAA ' * 10}AAA="}),
    ("commands.allowedRooms", ["!abc:example.com:8448", f"!{'a' * 43}"]),
    ("commands.maxAge", 5),
    ("commands.maxAge", "3600s"),
    ("commands.maxAge", "60m"),
    ("commands.maxAge", "1h"),
    ("targets", [{"name": "web.v1-2", "namespace": "a-b"}]),
    ("health.syncMaxAge", "45s"),
    ("health.syncMaxAge", 3600),
    ("log.level", "CRITICAL"),
    ("proxy.url", "http://proxy.example.com:3128"),
]


def configured(values: Values, tmp_path: Path, *options: str) -> tuple[int, str]:
    """What the program says to the configuration that the chart makes of values."""
    settings = variables(pod_of(chart(values, "toggle", "default", *options)))
    password = tmp_path / "password"
    password.write_text("correct horse battery staple")
    cluster = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    return run_to_end(settings | cluster | {"MATRIX_PASSWORD_FILE": str(password)}, ("check-config",))


def rounds(cases: list[Case]) -> list[list[Case]]:
    """The cases in few sets that have none twice: helm and the program tell all faults at once."""
    sets: list[list[Case]] = []
    for case in cases:
        free = next((one for one in sets if case[0] not in [path for path, *_ in one]), None)
        if free is None:
            sets.append(free := [])
        free.append(case)
    return sets


def together(cases: list[Case]) -> Values:
    """Values with all of a set."""
    values = LEAST
    for path, value, *_ in cases:
        values = changed(path, value, values)
    return values


@pytest.mark.parametrize("cases", rounds(BAD))
def test_the_schema_refuses_what_the_program_refuses(cases: list[Case], tmp_path: Path) -> None:
    said = refusal(together(cases))
    assert "values don't meet the specifications of the schema" in said, said
    code, output = configured(together(cases), tmp_path, "--skip-schema-validation")
    assert code == 1, output
    for path, value, variable in cases:
        assert f"'/{path.replace('.', '/')}" in said, f"{path}={value!r} is taken: {said}"
        assert f"configuration error: {variable} " in output, f"{variable}={value!r} is taken: {output}"


@pytest.mark.parametrize("cases", rounds(GOOD))
def test_the_schema_takes_what_the_program_takes(cases: list[Case], tmp_path: Path) -> None:
    code, output = configured(together(cases), tmp_path)
    assert code == 0, output


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metrix.user", "bot"),
        ("matrix.username", "bot"),
        ("secrets.matrixPasswort.name", "a"),
        ("secrets.matrixPassword.secretName", "a"),
        ("secrets.jwtSecret.value", "x" * 63),
        ("image.digest", "sha256:abc"),
        ("targets", [{"name": "a", "kind": "StatefulSet"}]),
        ("store.accessMode", "ReadWriteMany"),
        ("replicas", 2),
        ("health.port", 80),
        ("podLabels", {"app.kubernetes.io/name": "bot"}),
        ("podLabels", {"app.kubernetes.io/instance": "bot"}),
        ("podLabels", {"app.kubernetes.io/component": "bot"}),
        ("health.syncMaxAge", "44s"),
    ],
)
def test_a_slip_is_refused(path: str, value: object) -> None:
    assert "values don't meet the specifications of the schema" in refusal(changed(path, value))


NAMES = {"name", "namespace", "serviceAccountName", "claimName", "priorityClassName"}


def entries(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Each entry of a document that is neither a mapping nor a list, by its path."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from entries(value, f"{path}/{key}")
    elif isinstance(node, list):
        for value in node:
            yield from entries(value, path)
    else:
        yield path, node


def test_what_looks_like_a_number_in_yaml_is_still_a_name() -> None:
    values = with_names_like_numbers()
    plain = changed("metrics.service.enabled", False, changed("fullnameOverride", "", values))
    documents = [*chart(values, "123", "456"), *chart(plain, "2001-01-01", "1e3")]
    told = {
        (path, value)
        for document in documents
        for path, value in entries(document)
        if path.rsplit("/", 1)[-1] in NAMES or re.search(r"(abels|annotations|resourceNames)\b", path)
    }
    wanted = {"123", "456", "on", "null", "1e3", "77", "0x1f", "55", "9", "2001-01-01", "8", "7", "42"}
    assert wanted <= {value for _, value in told}
    assert [entry for entry in told if not isinstance(entry[1], str)] == []


def known_variables() -> dict[str, str]:
    """The variables that the program tells of, with what it says behind their names: their defaults."""
    _, text = run_to_end({}, ("--help",))
    known = dict(re.findall(r"^  ([A-Z][A-Z0-9_]+) \((.*)\)$", text, re.MULTILINE))
    assert {"MATRIX_USER", "EXTRA_CA_FILE", "RUST_LOG"} <= set(known), text
    return known


def test_every_variable_of_the_program_can_be_set() -> None:
    """Secrets by their files; what the cluster sets itself is not the chart's, nor what is for outside of one."""
    known = known_variables()
    given = {one["name"] for values in SETS.values() for one in container_of(pod_of(chart(values)))["env"]}
    wanted = {name for name in known if f"{name}_FILE" not in known or name in given}
    of_the_cluster = {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}
    assert wanted - given == of_the_cluster | {"KUBECONFIG", "KUBE_CONTEXT"}


def test_the_defaults_are_the_programs_but_for_encryption() -> None:
    known = known_variables()
    told = variables(pod_of(chart(LEAST, "toggle", "clawdbot")))
    defaults = {name: said.removeprefix("default ") for name, said in known.items() if said.startswith("default ")}
    others = {name for name in defaults.keys() & told.keys() if told[name] != defaults[name]}
    assert others == {"REQUIRE_ENCRYPTION"}


def leaves(values: Values, prefix: str = "") -> dict[str, object]:
    """Each value by its path; what is empty, or of free form, is a value."""
    found: dict[str, object] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        free = path in ("resources", "gateway.resources", "podSecurityContext") or path.endswith(".labels")
        if isinstance(value, dict) and value and not free:
            found |= leaves(value, f"{path}.")
        else:
            found[path] = value
    return found


def test_the_readme_of_the_chart_has_every_value_and_its_default() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = re.findall(r"^\| `([^`]+)` \|(.*?)\| .+ \|$", (CHART / "README.md").read_text(), re.MULTILINE)
    table = {path: default.strip().strip("`") for path, default in rows}
    assert len(table) == len(rows), "a value is there twice"
    wanted = {path: value for path, value in leaves(values).items() if not path.startswith("secrets.")}
    shown = {path: default for path, default in table.items() if not path.startswith("secrets.")}
    assert set(shown) == set(wanted)
    for path, value in wanted.items():
        default = shown[path]
        if default == "required":
            assert not value, path
        elif path not in ("resources", "gateway.resources", "podSecurityContext", "metrics.dashboard.labels"):
            assert yaml.safe_load(default) == value, path
    names = {path.split(".")[1] for path in table if path.startswith("secrets.")} - {"<name>"}
    assert names == set(values["secrets"])
    for name, secret in values["secrets"].items():
        assert secret == {"name": "", "key": re.sub(r"([A-Z])", lambda one: "-" + one[0].lower(), name), "value": ""}
