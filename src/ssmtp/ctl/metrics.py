"""What `ssmtpctl agent status --metrics` prints: the text form that Prometheus reads.

A timer writes it into a directory of node_exporter's textfile collector.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

COUNTED = {
    "sent": "recipients who have got a message",
    "deferred": "recipients for whom the mailhub said not now",
    "refused": "recipients for whom the mailhub said never, or who were given up",
    "doubt": "recipients of whom it is not known whether they have got a message",
}


def lines(told: dict[str, Any] | None) -> Iterator[str]:
    """Yield the metrics for an answer to XSTATUS; None: no agent has answered."""
    yield from _gauge("up", "whether the agent answers", told is not None)
    if told is None:
        return
    connected = told["sender"] == "connected"
    yield from _gauge("sender_up", "whether the sender runs", connected)
    taken = not told.get("disk")
    yield from _gauge("queue_open", "whether the disk takes more mail", taken)
    right = not told.get("configuration")
    yield from _gauge("configuration_ok", "whether the configuration is right", right)
    yield from _gauge("queue_messages", "messages that wait", told["messages"])
    yield from _gauge("queue_octets", "their size", told["octets"])
    oldest = time.time() - told["oldest"] if told["oldest"] else 0.0
    yield from _gauge("queue_oldest_seconds", "age of the oldest", max(oldest, 0.0))
    yield from _gauge("failed_messages", "messages given up", told["failed"])
    site = told["site"]
    if not site:
        return
    for name, meaning in COUNTED.items():
        if name not in site:
            continue  # only root is told
        yield f"# HELP ssmtp_{name}_total {meaning}"
        yield f"# TYPE ssmtp_{name}_total counter"
        yield f"ssmtp_{name}_total {site[name]}"
    yield "# HELP ssmtp_mailhub_up whether the mailhub can be used"
    yield "# TYPE ssmtp_mailhub_up gauge"
    for each in site.get("sites", ()):
        hub = ",".join(each["mailhubs"]).replace("\\", "\\\\").replace('"', '\\"')
        yield f'ssmtp_mailhub_up{{mailhub="{hub}"}} {int(each["state"] == "ok")}'


def _gauge(name: str, meaning: str, value: float) -> Iterator[str]:
    yield f"# HELP ssmtp_{name} {meaning}"
    yield f"# TYPE ssmtp_{name} gauge"
    yield f"ssmtp_{name} {value:.10g}"
