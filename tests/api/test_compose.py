"""A composed message is read by the standard library as it was meant."""

from __future__ import annotations

import contextlib
import email
import io
from email import policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.compose import compose
from ssmtp.errors import InputRefused, InputUnreadable

ONE = "ann@example.org"
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=80)


def octets(**parts: Any) -> bytes:
    with compose(**{"to": ONE, **parts}) as draft:
        return b"".join(draft.blocks())


def read(**parts) -> EmailMessage:
    raw = octets(**parts)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(raw, policy=policy.default)
    assert [] == [defect for part in message.walk() for defect in part.defects]
    return message


def content(message) -> str:
    """Return a text; canonical line ends (RFC 2045 section 6.8) become newlines."""
    text: str = message.get_content()
    return text.replace("\r\n", "\n")


def shape(message) -> object:
    """Return the media types of a message as nested lists."""
    if not message.is_multipart():
        return message.get_content_type()
    return [message.get_content_subtype(), *map(shape, message.iter_parts())]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, "text/plain"),
        ({"text": "x"}, "text/plain"),
        ({"html": "x"}, "text/html"),
        ({"text": "x", "html": "y"}, ["alternative", "text/plain", "text/html"]),
        (
            {"text": "x", "attachments": [("a.pdf", b"1")]},
            ["mixed", "text/plain", "application/pdf"],
        ),
        (
            {
                "text": "x",
                "html": '<img src="cid:a.png">',
                "attachments": [("a.png", b"1"), ("b.png", b"2")],
            },
            [
                "mixed",
                [
                    "alternative",
                    "text/plain",
                    ["related", "text/html", "image/png"],
                ],
                "image/png",
            ],
        ),
    ],
)
def test_structure(parts, expected):
    """There are no more parts than are needed, nested as readers expect them."""
    assert expected == shape(read(**parts))


def test_texts_end_as_they_were():
    """The line end behind the last line belongs to the text, not to the boundary."""
    message = read(text="one\n", html="two\n", attachments=[("a.bin", b"x")])
    bodies = [message.get_body((kind,)) for kind in ("plain", "html")]

    assert ["one\n", "two\n"] == list(map(content, bodies))


@given(st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])))
def test_text(text):
    """A text comes back as it was, whatever is in it."""
    message = read(text=text)
    ended = text if text.endswith("\n") or not text else text + "\n"

    assert ended == content(message)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n", "7bit"),
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("Grüße aus Köln\n", "quoted-printable"),
        ("日本語のテキスト\n", "base64"),
    ],
)
def test_encoding_of_texts(text, encoding):
    """A text stays readable where it can."""
    assert encoding == read(text=text)["Content-Transfer-Encoding"]


def test_octets_that_are_no_utf8():
    """Octets of an unknown charset are said to be that, and stay as they are."""
    for given_ in (b"caf\xe9\n", "caf\udce9\n"):
        message = read(text=given_)

        assert "unknown-8bit" == message.get_content_charset()
        assert b"caf\xe9" == bytes(message.get_payload(decode=True)).strip()
    assert "é\n" == content(read(text=b"\xe9", charset="iso-8859-1"))


def test_halves_of_characters():
    """Two halves of a character become one, a lonely one the replacement character."""
    halves, whole = "\ud83d\ude00 \ud83d", "\U0001f600 \ufffd"
    message = read(
        text=halves,
        subject=halves,
        headers={"X-Title": halves},
        from_=f"{halves} <me@example.org>",
        cc=[(halves, "bob@example.org")],
    )

    assert f"{whole}\n" == content(message)
    assert [whole, whole] == [message["Subject"], message["X-Title"]]
    assert whole == message["From"].addresses[0].display_name
    assert whole == message["Cc"].addresses[0].display_name


@given(PRINTABLE)
def test_subject(text):
    """A subject comes back as it was."""
    subject = " ".join(text.split())

    assert subject == str(read(subject=subject)["Subject"] or "")


@given(st.lists(PRINTABLE.filter(bool), min_size=1, max_size=9))
def test_display_names(names):
    """Display names come back as they were, however many and long."""
    message = read(to=[(name, f"u{at}@x.example") for at, name in enumerate(names)])
    # Not message["To"].addresses, which puts a blank between two encoded words.
    pairs = getaddresses([dict(message.raw_items())["To"]])

    assert names == [str(make_header(decode_header(name))) for name, _ in pairs]
    assert f"u{len(names) - 1}@x.example" == pairs[-1][1]


@given(PRINTABLE.filter(lambda name: name and "/" not in name))
def test_file_names(name):
    """A file name comes back as it was (RFC 2231)."""
    [part] = read(text="", attachments=[(name, b"1")]).iter_attachments()

    assert name == part.get_filename()


def test_file_names_out_of_the_ordinary():
    """Line ends in a name become harmless, octets that are no UTF-8 stay readable."""
    [odd, raw] = read(
        attachments=[("a\r\nb", b""), ("caf\udce9", b"")]
    ).iter_attachments()

    assert "a__b" == odd.get_filename()
    assert "café" == raw.get_filename()


@given(st.binary(max_size=300) | st.integers(57_000, 66_000).map(lambda n: b"\xff" * n))
def test_attachments(data):
    """Every octet of an attachment comes back."""
    [part] = read(attachments=[("a.bin", data)]).iter_attachments()

    assert data == part.get_content()


def test_kinds_of_attachments(tmp_path):
    """An attachment is a path, octets, or a tuple of name, source and type."""
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n")
    parts = read(
        attachments=[
            str(path),
            path,
            b"bare",
            ("text", "Grüße"),
            ("renamed.bin", path),
            ("x", io.BytesIO(b"stream"), "image/png"),
            ("mail.eml", b"Subject: x\n\ny"),
            ("log.txt.gz", b"1"),
        ]
    ).iter_attachments()

    assert [
        ("data.csv", "text/csv", b"a,b\n"),
        ("data.csv", "text/csv", b"a,b\n"),
        ("attachment", "application/octet-stream", b"bare"),
        ("text", "text/plain", "Grüße".encode()),
        ("renamed.bin", "application/octet-stream", b"a,b\n"),
        ("x", "image/png", b"stream"),
        # Types that must not be encoded (RFC 2046 section 5.2.1).
        ("mail.eml", "application/octet-stream", b"Subject: x\n\ny"),
        ("log.txt.gz", "application/gzip", b"1"),
    ] == [
        (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
        for part in parts
    ]


@pytest.mark.parametrize(
    ("data", "charset"), [(b"a", "utf-8"), ("ä".encode(), "utf-8"), (b"\xe9", None)]
)
def test_charset_of_attached_texts(data, charset):
    """An attached text says that it is UTF-8 where it is."""
    [part] = read(attachments=[("a.txt", data)]).iter_attachments()

    assert charset == part.get_content_charset()


@pytest.mark.parametrize("given_", ["report.pdf", "", b"report"])
def test_attachments_are_a_list(given_):
    """A file that stands there alone is told as a mistake, not as a file `r`."""
    with pytest.raises(TypeError, match="attachments is a list"):
        octets(attachments=given_)


@pytest.mark.parametrize("given_", [1, None, ("name", 1), object()])
def test_what_is_no_attachment(given_):
    """A mistake of the program is told as Python tells it."""
    with pytest.raises(TypeError, match="attachment"):
        octets(attachments=[given_])


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (("Ann", "ann@example.org"), ["ann@example.org"]),
        (
            ("ann@example.org", "bob@example.org"),
            ["ann@example.org", "bob@example.org"],
        ),
        (("ann@example.org", "root"), ["ann@example.org", "root"]),
        (("ann", "bob"), ["ann", "bob"]),
        (["root", "ann@example.org"], ["root", "ann@example.org"]),
    ],
)
def test_a_name_with_its_address_is_one_recipient(to, expected):
    """A pair alone is an address, as it is in a list; two addresses are two."""
    with compose(to=to) as draft:
        assert expected == draft.recipients


@pytest.mark.parametrize("path", ["/missing/file", "/", "a\0b"])
def test_a_file_that_cannot_be_read(path, tmp_path):
    """A file that cannot be attached is told before anything is sent."""
    with pytest.raises(InputUnreadable, match="cannot be attached"):
        octets(attachments=[path])


def test_recipients():
    """Everybody is an argument; Bcc is never written."""
    with compose(
        to="Ann <ann@example.org>, root",
        cc=[("Bob, Jr", "bob@example.org"), Address("Eve", "eve", "example.org")],
        bcc=["Secret <secret@example.org>"],
        from_="me@example.org",
        reply_to="Me <me@example.org>",
    ) as draft:
        raw = b"".join(draft.blocks())
        recipients = draft.recipients
    message = email.message_from_bytes(raw, policy=policy.default)

    assert [
        "ann@example.org",
        "root",
        "bob@example.org",
        "eve@example.org",
        "secret@example.org",
    ] == recipients
    assert b"secret" not in raw.lower()
    assert '"Bob, Jr" <bob@example.org>, Eve <eve@example.org>' == message["Cc"]
    assert "Me <me@example.org>" == message["Reply-To"]
    assert "me@example.org" == message["From"]


@pytest.mark.parametrize(
    "parts",
    [
        {"subject": "x\nBcc: evil@x.example"},
        {"to": "ann@example.org\nBcc: evil@x.example"},
        {"to": [("Ann", "ann@example.org>\r\nX: <y@z.example")]},
        {"headers": {"X-A": "b\r\nX: y"}},
        {"headers": {"X-A: b\nX": "y"}},
        {"headers": {"": "y"}},
        {"attachments": [("a", b"", "image/png\r\nX: y")]},
        {"attachments": [("a", b"", "png")]},
        {"to": "ann@exa mple.org"},
        {"from_": "x\0@y.example"},
    ],
)
def test_no_field_begins_another(parts):
    """What would write a field of its own is refused."""
    with pytest.raises(InputRefused):
        octets(**parts)


@pytest.mark.parametrize("name", ["To", "bcc ", "Content-Type", "MIME-Version"])
def test_fields_that_are_given_otherwise(name):
    """A field that has an argument is refused as an extra: it would not count."""
    with pytest.raises(InputRefused):
        octets(headers={name: "x@y.example"})


def test_extra_fields():
    """Extra fields are written in their order, encoded and folded."""
    message = read(headers=[("X-B", "Grüße " * 30), ("X-A", "1"), ("X-B", "2")])

    assert ["X-B", "X-A", "X-B"] == [name for name in message if name[:2] == "X-"]
    assert ("Grüße " * 30).strip() == message["X-B"]


def test_no_address_is_no_str():
    """A mistake of the program is told as Python tells it."""
    with pytest.raises(TypeError, match="an address is a str"):
        octets(to=[1])


@pytest.fixture
def site(tmp_path):
    """A directory with a page's images, and one file that is none of its business."""
    (tmp_path / "secret.png").write_bytes(b"secret")
    place = tmp_path / "page"
    (place / "img").mkdir(parents=True)
    (place / "a b.png").write_bytes(b"one")
    (place / "img" / "two.jpg").write_bytes(b"two")
    (place / "notes.txt").write_bytes(b"no image")
    (place / "link.png").symlink_to(tmp_path / "secret.png")
    return place


def test_images_of_a_page(site):
    """Images below the directory of a page travel with it, each once."""
    message = read(
        html="<IMG alt=x src='a%20b.png'> <img src=img/two.jpg><img src='a%20b.png'>",
        beside=str(site),
        attachments=[site / "a b.png"],
    )
    [page, one, two] = message.iter_parts()
    html = page.get_content()

    assert ["related", "text/html", "image/png", "image/jpeg"] == shape(message)
    assert [b"one", b"two"] == [one.get_content(), two.get_content()]
    assert 2 == html.count(f'"cid:{one["Content-ID"].strip("<>")}"')
    assert 1 == html.count(f'"cid:{two["Content-ID"].strip("<>")}"')
    assert "inline" == one.get_content_disposition()


@pytest.mark.parametrize(
    "source",
    [
        "../secret.png",
        "link.png",
        "/etc/hostname.png",
        "notes.txt",
        "missing.png",
        "http://x.example/a.png",
        "data:image/png;base64,AAAA",
        "cid:nobody.png",
        "%00.png",
        "%ff%e9.png",
    ],
)
def test_images_that_stay_where_they_are(site, source):
    """A page cannot make us send a file from elsewhere."""
    page = f'<img src="{source}">'

    assert page == read(html=page, beside=str(site)).get_content().strip()


def test_pages_in_other_charsets():
    """A page in octets is read as UTF-8, or as it says, and sent as UTF-8."""
    latin = '<meta charset="iso-8859-2">ż'.encode("iso-8859-2")

    assert "<p>ü\n" == content(read(html="<p>ü".encode()))
    assert "ż" in content(read(html=latin))
    assert "<p>é\n" == content(read(html=b"<p>\xe9"))
    assert "utf-8" == read(html=latin).get_content_charset()


def test_files_are_closed(tmp_path):
    """What was opened is closed, also when something is wrong; given streams stay."""
    path = tmp_path / "a"
    path.write_bytes(b"1")
    mine = io.BytesIO(b"2")
    with contextlib.suppress(InputUnreadable):
        octets(attachments=[path, ("x", mine), "/missing"])
    octets(attachments=[path, ("x", mine)])

    assert not mine.closed
