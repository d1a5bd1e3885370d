"""What other programs were told is what ssmtp is told, or a person is told why not."""

from __future__ import annotations

import functools
import importlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmtp import config
from ssmtp.config import tls_mode
from ssmtp.ctl import migrate
from tests.conftest import UNSPEAKABLE
from tests.migrate import cases

MODULES = {
    name: importlib.import_module(f"ssmtp.ctl.migrate.{module}")
    for name, module in migrate.PROGRAMS.items()
}


EVERY = pytest.mark.parametrize("case", cases.cases(), ids=cases.name_of)


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """Take each case over once; return its folder and what was said."""

    @functools.cache
    def once(case):
        folder = tmp_path_factory.mktemp(case.name)
        return folder, cases.run(case, *cases.words(case, folder))

    return once


@EVERY
def test_what_it_becomes(case, taken):
    """Settings, password, senders and what is said of each key are as expected."""
    before = {p: p.read_bytes() for p in case.rglob("*") if p.is_file()}

    assert (case / "expected").read_text() == cases.outcome(case, *taken(case))
    # The files of the other program stay as they are.
    assert before == {p: p.read_bytes() for p in case.rglob("*") if p.is_file()}


@EVERY
def test_what_is_said(case, taken, tmp_path):
    """Whatever is not simply taken has a reason, and no password is ever said."""
    _folder, told = taken(case)
    shown = cases.run(case, *cases.words(case, tmp_path)[:-2], "--dry-run")

    assert (0, 0) == (told.code, shown.code)
    assert [] == [
        key
        for key in told.facts["keys"]
        if not key["why"] and key["outcome"] != "taken"
    ]
    for form in UNSPEAKABLE:
        assert form.decode() not in told.out + told.err + shown.out + shown.err


@EVERY
def test_no_password_in_clear(case, taken):
    """What is written sends no password over a connection without verified TLS."""
    folder, _told = taken(case)
    path = folder / "ssmtp.conf"
    found = config.parse(path.read_bytes(), str(path))

    assert found.tls_verify
    assert not found.allow_cleartext_auth
    if found.auth_user and "ssmtp" != case.parent.name:
        hub = found.mailhubs[0]
        mode = tls_mode(found, hub)
        assert "127.0.0.1" == hub.host or mode in ("implicit", "starttls")


@pytest.mark.parametrize("name", migrate.PROGRAMS)
@given(data=st.data())
@settings(max_examples=25)
def test_any_text(name, data):
    """No text makes it fail in a way that is not told: it ends with 0, 64, 66 or 78."""
    case = data.draw(st.sampled_from(sorted((cases.FILES / name).iterdir())))
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for path in case.rglob("*"):
            if path.is_file():
                copy = root / path.relative_to(case)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(data.draw(damaged(path.read_text())), "utf-8")
        scope = "--user-file" if (root / "home").is_dir() else "--system"
        told = cases.run(root, name, scope, "--dry-run")

    assert told.code in (0, 64, 66, 78), told.err


@st.composite
def damaged(draw, text):
    """Return a text with a piece taken out, or with something put in."""
    at = draw(st.integers(0, len(text)))
    end = draw(st.integers(at, min(len(text), at + 20)))
    piece = draw(
        st.sampled_from(["", "\n", "'", '"', "=", ":", "$", "{", "\\", "é", "|"])
    )
    return text[:at] + piece * draw(st.integers(1, 3)) + text[end:]


@pytest.mark.parametrize("name", migrate.PROGRAMS)
def test_there_are_ten(name):
    """Each program has ten configurations, of which none is missing here."""
    assert 10 <= len(list((cases.FILES / name).iterdir()))


@pytest.mark.parametrize("name", MODULES)
def test_tables(name):
    """A row names keys of ours that exist, or says why there is no counterpart."""
    known = {key.name for key in config.KEYS} | {"revaliases", "-C"}
    for rule in MODULES[name].RULES:
        assert rule.ours or rule.why, rule.key
        assert set(filter(None, rule.ours.split(", "))) <= known, rule.key
    keys = [rule.key for rule in MODULES[name].RULES]
    assert len(keys) == len(set(keys))
