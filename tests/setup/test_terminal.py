"""A person at a terminal: few questions, no password to be seen, a way out."""

from __future__ import annotations

import os
import pty
import select
import signal

import pytest

from tests.setup.conftest import ADDRESS, PASSWORD, ROOT

SECONDS = 30


class Terminal:
    """`ssmtpctl setup` on a terminal of its own."""

    def __init__(self, desk, *words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # Whoever runs the tests in the background may ignore it, as a shell has it.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.chdir(desk.home)
            program = str(ROOT / "bin/ssmtpctl")
            argv = [program, "setup", "--user-file", *words]
            os.execve(program, argv, desk.environ | {"TERM": "dumb"})
        self.seen = ""
        self.at = 0  # up to here it was expected

    def expect(self, words):
        """Wait until something is on the screen, behind what was expected before."""
        while words not in self.seen[self.at :]:
            ready, _, _ = select.select([self.fd], [], [], SECONDS)
            assert ready, self.seen
            try:
                block = os.read(self.fd, 4096)
            except OSError:
                block = b""
            assert block, self.seen
            self.seen += block.decode()
        self.at = self.seen.index(words, self.at) + len(words)

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """Return the exit code, after all that is said."""
        while True:
            try:
                block = os.read(self.fd, 4096)
            except OSError:
                break
            if not block:
                break
            self.seen += block.decode()
        os.close(self.fd)
        _, status = os.waitpid(self.pid, 0)
        assert PASSWORD not in self.seen
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def typed(flags):
    return [word for word in flags if word != "--password-stdin"]


def test_address_password_and_yes(desk, hub, typed):
    """Address, password and a yes are all that is asked."""
    terminal = Terminal(desk, *typed)
    terminal.expect("Your address: ")
    terminal.type(f"{ADDRESS}\n")
    terminal.expect(f"Password for {ADDRESS}: ")
    terminal.type(f"{PASSWORD}\n")
    terminal.expect("[Y/n] ")
    terminal.type("\n")

    assert 0 == terminal.end(), terminal.seen
    assert f"mailhub=127.0.0.1:{hub.port}" in desk.config.read_text()
    assert "ssmtpctl doctor --send" in terminal.seen or "ssmtpctl send" in terminal.seen


def test_no(desk, hub, typed):
    """A no writes nothing."""
    terminal = Terminal(desk, ADDRESS, *typed)
    terminal.expect("Password for ")
    terminal.type(f"{PASSWORD}\n")
    terminal.expect("[Y/n] ")
    terminal.type("n\n")

    assert 75 == terminal.end()
    assert "nothing was written" in terminal.seen
    assert {} == desk.files()


def test_another_try(desk, hub, typed):
    """A wrong password can be typed again."""
    terminal = Terminal(desk, ADDRESS, "--yes", *typed)
    terminal.expect("Password for ")
    terminal.type("no-such-password\n")
    terminal.expect("535 5.7.8 wrong")
    terminal.expect("Password for ")
    terminal.type(f"{PASSWORD}\n")

    assert 0 == terminal.end(), terminal.seen
    assert PASSWORD + "\n" == (desk.config.parent / "password").read_text()


@pytest.mark.parametrize("question", ["Password for ", "[Y/n] "])
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(desk, hub, typed, question, end):
    """Whoever is interrupted at a question has the old configuration."""
    desk.config.parent.mkdir(parents=True)
    desk.config.write_text("mailhub=old.example.org\n")
    before = desk.files()
    terminal = Terminal(desk, ADDRESS, *typed)
    terminal.expect("Password for ")
    if question != "Password for ":
        terminal.type(f"{PASSWORD}\n")
        terminal.expect(question)
    os.kill(terminal.pid, end)

    assert 0 != terminal.end()
    assert before == desk.files()
