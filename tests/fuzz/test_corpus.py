"""Every input worth keeping is a case, and the targets can see what is wrong."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from ssmtp.smtp import transact, verdicts
from tests.fuzz import dialogues, mutate, run

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize(
    ("name", "path"),
    [(path.parent.name, path) for path in sorted(CORPUS.glob("*/*"))],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_kept_inputs(name: str, path: Path) -> None:
    """What once was found, or was hard to get right, stays right."""
    run.target(name)(path.read_bytes())


@pytest.mark.parametrize("name", run.TARGETS)
def test_made_inputs(name: str) -> None:
    """A few inputs made of the kept ones do no harm, the same ones every time."""
    target = run.target(name)
    examples = run.examples(name)
    for data in islice(mutate.inputs(examples, 1), len(examples) + 150):
        target(data)


def test_targets_and_corpus() -> None:
    """Every target has examples, and every example a target."""
    assert run.TARGETS == sorted(path.name for path in CORPUS.iterdir())
    assert all(run.examples(name) for name in run.TARGETS)


def test_the_same_again() -> None:
    """The same seed makes the same dialogues, another seed others."""
    first, wrong = dialogues.block(1, 0, 300)
    again, _ = dialogues.block(1, 0, 300)
    other, _ = dialogues.block(2, 0, 300)

    assert [] == wrong
    assert first == again
    assert first != other
    assert first["Receipt"] > 10
    assert first["InDoubt"] > 0


# -- a target that cannot fail would be worth nothing


def test_a_false_success_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialogue that believes any answer to the content is found out."""
    monkeypatch.setattr(transact, "_judge", lambda *_: iter(()))
    outcomes, wrong = dialogues.block(1, 0, 300)

    assert wrong
    assert any("sent, it says" in name for name in outcomes)


def test_a_shifted_answer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialogue that does not listen to its witness is found out."""
    monkeypatch.setattr(transact, "witness", lambda *_: iter(()))
    outcomes, wrong = dialogues.block(1, 1, 5000)

    assert wrong
    assert {"WRONG AssertionError: sent, it says, and it was not"} <= {*outcomes}


def test_a_leak_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialogue that shows what the mailhub says back is found out."""
    monkeypatch.setattr("ssmtp.smtp.session.forms", lambda secret: [secret])
    outcomes, wrong = dialogues.block(1, 2, 3000)

    assert wrong
    assert any("password is shown" in name for name in outcomes)


def test_a_doubt_denied_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialogue that calls what may have been accepted "not sent" is found out."""
    real = verdicts.broken

    def certain(session, broken):
        session.stage = "transaction"
        return real(session, broken)

    monkeypatch.setattr(verdicts, "broken", certain)
    outcomes, _ = dialogues.block(1, 3, 3000)

    assert any("not sent, it says, and it was" in name for name in outcomes)


@pytest.mark.parametrize(
    ("name", "part", "broken"),
    [
        ("reply", "ssmtp.smtp.reply.Inbox.take", lambda self: None),
        ("offers", "ssmtp.smtp.sasl.choose", lambda *_, **__: "PLAIN"),
        ("address", "ssmtp.address.Address.path", lambda self, utf8: "a> b"),
        ("header", "ssmtp.message._SECRET", frozenset()),
        ("config", "ssmtp.values.Secret.__repr__", lambda self: self.reveal()),
        ("sasl", "hmac.compare_digest", lambda *_: True),
        ("kept", "ssmtp.spool.keptfile.escape", str),
    ],
)
def test_a_broken_part_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, part: str, broken: object
) -> None:
    """A target notices when the part that it is about does not do its work."""
    monkeypatch.setattr(part, broken)
    target = run.target(name)

    with pytest.raises((AssertionError, ValueError)):
        for data in run.examples(name):
            target(data)
