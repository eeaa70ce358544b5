"""What the bot says, to the letter: people and scripts of the Python program know these words."""

from __future__ import annotations

HELP = (
    "Clawdbot Operator commands:\n"
    "  start / on  — Scale deployment to 1 replica\n"
    "  stop / off  — Scale deployment to 0 replicas\n"
    "  status      — Show deployment status\n"
    "  help        — Show this message"
)

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
    return f"Unknown command: {text}\n\n{HELP}"
