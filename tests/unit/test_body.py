"""Where the body of a message lies, and what is known of it."""

from __future__ import annotations

import errno
import os
import posix

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp import body as bodies
from ssmtp.body import BLOCK, Body, Filler
from ssmtp.errors import InputUnreadable
from tests.unit import strategies as mine

LINE = b"0123456789" * 7 + b"\n"


def fill(*blocks: bytes) -> Body:
    filler = Filler([])
    for block in blocks:
        filler.take(block)
    return filler.done()


def content(body: Body) -> bytes:
    return b"".join(body.blocks())


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@given(st.data(), mine.body_lines)
def test_accounts(data, lines):
    """Size and 8-bit content are found as blocks come in."""
    raw = "\n".join(lines).encode()
    body = fill(*data.draw(mine.splits(raw)))
    expected = raw.replace(b"\n", b"\r\n")
    if expected and not expected.endswith(b"\r\n"):
        expected += b"\r\n"

    assert expected == content(body)
    assert len(expected) == body.size
    assert raw.isascii() != body.eightbit
    assert body.utf8


@given(st.data(), st.lists(st.integers(990, 1002) | st.integers(0, 40), max_size=6))
def test_long_lines(data, lengths):
    """A line of more than 998 octets is found, wherever blocks are cut."""
    raw = b"\n".join(b"x" * length for length in lengths)
    body = fill(*data.draw(mine.splits(raw)))

    assert (max(lengths, default=0) > 998) == body.long_lines


@given(
    st.data(),
    st.binary(max_size=30).filter(lambda b: b"\r" not in b and b"\0" not in b),
)
def test_utf8(data, raw):
    """Whether the body is UTF-8 does not depend on where blocks are cut."""
    body = fill(*data.draw(mine.splits(raw)))
    try:
        raw.decode()
        valid = True
    except UnicodeDecodeError:
        valid = False

    assert valid == body.utf8


def test_utf8_that_ends_too_early():
    """A body that ends within a character is no UTF-8."""
    assert not fill("für".encode()[:2]).utf8


def test_small_bodies_stay_in_memory():
    """A small body takes no descriptor and no disk."""
    before = descriptors()
    body = fill(LINE * 1000)

    assert before == descriptors()
    assert 72 * 1000 == len(content(body))


def test_large_bodies(tmp_path, monkeypatch):
    """A large one lies in a private file without a name, and comes in small blocks."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    body = fill(*[LINE * 900] * 20)
    blocks = list(body.blocks())

    assert [] == os.listdir(tmp_path)
    assert (LINE * 18000).replace(b"\n", b"\r\n") == b"".join(blocks)
    assert blocks == list(body.blocks())
    assert max(map(len, blocks)) <= BLOCK
    assert 0o600 == os.fstat(body._fd).st_mode & 0o777
    assert os.stat(tmp_path).st_dev == os.fstat(body._fd).st_dev
    assert not os.get_inheritable(body._fd)
    body.close()


def test_several_readers():
    """Two readers of one body do not disturb each other."""
    body = fill(*[LINE * 900] * 20)
    pairs = list(zip(body.blocks(), body.blocks(), strict=True))

    assert all(one == other for one, other in pairs)
    body.close()


def test_closing():
    """Closing gives the descriptor back, and may happen twice."""
    before = descriptors()
    body = fill(*[LINE * 900] * 20)
    assert before != descriptors()
    body.close()
    body.close()

    assert before == descriptors()
    assert b"" == content(body)


def test_without_nameless_files(tmp_path, monkeypatch):
    """Where the system has no nameless files, the name is gone at once."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delattr(posix, "O_TMPFILE")
    body = fill(*[LINE * 900] * 20)

    assert [] == os.listdir(tmp_path)
    assert 0 == os.fstat(body._fd).st_nlink
    assert 0o600 == os.fstat(body._fd).st_mode & 0o777
    assert 72 * 18000 == len(content(body))
    body.close()


def test_no_place(monkeypatch):
    """Where no file can be made the body stays in memory, and one try is enough."""
    tried = []

    def refuse(path: str, *_: int) -> int:
        tried.append(path)
        raise OSError(errno.EACCES, "no")

    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(posix, "open", refuse)
    body = fill(*[LINE * 900] * 20)

    assert (LINE * 18000).replace(b"\n", b"\r\n") == content(body)
    assert 4 >= len(tried)


@pytest.mark.parametrize("room", [0, 1, 100_000, 300_000, 700_000])
def test_full_disk(monkeypatch, room):
    """When the disk is full all comes back into memory, and not an octet is lost."""
    left = room
    real = posix.write

    def write(fd: int, data: memoryview) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, "full")
        part = data[: min(left, 50_000)]
        left -= len(part)
        return real(fd, part)

    monkeypatch.setattr(posix, "write", write)
    before = descriptors()
    body = fill(*[LINE * 900] * 20)

    assert before == descriptors()
    assert (LINE * 18000).replace(b"\n", b"\r\n") == content(body)


def test_relative_tmpdir(monkeypatch):
    """A TMPDIR that is no absolute path is not used."""
    monkeypatch.setenv("TMPDIR", "somewhere")
    body = fill(*[LINE * 900] * 20)

    assert "somewhere" not in os.readlink(f"/proc/self/fd/{body._fd}")
    body.close()


def test_lost_file():
    """A body that the disk no longer has is an error, never a shorter message."""
    body = fill(*[LINE * 900] * 20)
    os.ftruncate(body._fd, 100_000)
    with pytest.raises(InputUnreadable):
        content(body)
    body.close()


def test_one_long_line():
    """A line of a megabyte is one line."""
    body = fill(*[b"x" * 65536] * 16)

    assert body.long_lines
    assert b"x" * (1 << 20) + b"\r\n" == content(body)
    body.close()


def test_memory_limit():
    """What is held in memory is a quarter of a megabyte and one block at most."""
    body = Body()
    for _ in range(100):
        body.store(b"x" * BLOCK)
        held = sum(map(len, body._blocks))
        assert held <= bodies._MEMORY_MAX + BLOCK
    assert 100 * BLOCK == body.size
    body.close()
