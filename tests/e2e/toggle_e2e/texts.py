"""What the bot says, to the letter: people and scripts of the Python program know these words."""

from __future__ import annotations

import re


class Pattern:
    """Equal to every text that it fits: for answers that end in what is different for each bot."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self._pattern.fullmatch(other) is not None

    def __hash__(self) -> int:
        return hash(self._pattern)

    def __repr__(self) -> str:
        return f"Pattern({self._pattern.pattern!r})"


COMMANDS = (
    "Clawdbot Operator commands:\n"
    "  start / on  — Scale deployment to 1 replica\n"
    "  stop / off  — Scale deployment to 0 replicas\n"
    "  status      — Show deployment status\n"
    "  help        — Show this message"
)

_FINGERPRINT = r"[A-Za-z0-9+/]{4}(?: [A-Za-z0-9+/]{1,4}){10}"

HELP = Pattern(
    re.escape(COMMANDS) + r"\n\nKnow me by:\n" + rf"  Device \S+: {_FINGERPRINT}(?:\n  Identity: {_FINGERPRINT})?"
)
"""The answer to `help`: under the commands, the fingerprints of the device and of the identity that signed it."""

ON = "Deployment is now on  (replicas: 1)"
OFF = "Deployment is now off  (replicas: 0)"

PLAINTEXT_REFUSED = (
    "This room is encrypted, so I only take encrypted commands: please send it again from a client with encryption on."
)


def echo(body: str) -> str:
    """What comes before each answer with `ECHO_MODE`."""
    return f"🦞 {body}"


def status(state: str, desired: int, ready: int, available: int) -> str:
    """The answer to `status`."""
    return (
        f"Deployment is {state}\n"
        f"  Desired replicas : {desired}\n"
        f"  Ready            : {ready}\n"
        f"  Available        : {available}"
    )


def unknown(text: str) -> str:
    """The answer to what is no command."""
    return f"Unknown command: {text}\n\n{COMMANDS}"


UNREADABLE = "I could not decrypt your message. This may happen after a restart. Please send your command again."


SIGNED_OUT_DEVICE = (
    "Your message came from a session that was signed out, so I did not run your command: please log in anew on that"
    " device, verify the new session, and send it again. If you did not sign it out, ask my operator, to whom"
    ' "openclaw-k8s-toggle-operator identities list" shows it.'
)
"""To a message that the keys of a removed device encrypted."""


def unverified(device_id: str) -> str:
    """To a person whose identity has not signed the device they command from."""
    return (
        f"Your session {device_id} is not verified by your own identity, so I did not run your command. If it is yours,"
        " verify it from another of your sessions (in Element: Settings, Sessions, Verify session), and send it again;"
        " if you do not know it, sign it out."
    )


def identity_changed(user_id: str) -> str:
    """To a person who has another identity than the pinned one."""
    return (
        "Your cryptographic identity is not the one I know you by, so I take no commands from you. If you have reset it"
        " yourself, ask my operator to pin the new one: in PINNED_IDENTITIES, or by"
        f' "openclaw-k8s-toggle-operator identities forget {user_id}".'
    )


def foreign_identity(device_id: str) -> str:
    """Under the answer to `status` of a bot whose account has an identity that it cannot sign its device with."""
    return (
        f"⚠ My device {device_id} is not signed by my account's identity: the account has an identity whose keys I do"
        " not hold. Clients that exclude unverified devices neither give me keys nor show my replies. Give me"
        " MATRIX_RECOVERY_KEY (the account's recovery key), or sign my device from another session of the account. If"
        ' nobody has either any more, "openclaw-k8s-toggle-operator identities reset" beside me replaces the identity:'
        " everybody who has verified me must do so again."
    )
