"""The mailer of a Django site, in the two ways in which settings name it."""

from __future__ import annotations

import pytest

django = pytest.importorskip("django", reason="Django is not installed here")

from django.conf import settings  # noqa: E402
from django.core import mail  # noqa: E402
from django.test.utils import override_settings  # noqa: E402

import ssmtp  # noqa: E402

BACKEND = "ssmtp.contrib.django.EmailBackend"
MAILERS = django.VERSION >= (6, 1)

if not settings.configured:
    settings.configure(DEFAULT_CHARSET="utf-8", DEFAULT_FROM_EMAIL="site@shop.example")
    django.setup()


@pytest.fixture(params=["EMAIL_BACKEND", "MAILERS"] if MAILERS else ["EMAIL_BACKEND"])
def site(request, mailsink):
    """Settings that lead to the sink, and what `send_mail` needs with them."""
    config = str(mailsink.config)
    with mailsink.config.open("a") as file:
        file.write("FromLineOverride=yes\n")
    if request.param == "MAILERS":
        one = {"BACKEND": BACKEND, "OPTIONS": {"config": config}}
        chosen: dict[str, object] = {"MAILERS": {"default": one}}
    else:
        chosen = {"EMAIL_BACKEND": BACKEND, "SSMTP_CONFIG": config}
    with override_settings(**chosen):
        yield request.param


# What Django 6.1 says of the settings and arguments of its older versions.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(EMAIL_BACKEND|'fail_silently').* is deprecated"
)


def test_send_mail(site, mailsink):
    """A message comes with its text, its page and its sender."""
    count = mail.send_mail(
        "Grüße",
        "hällo",
        "Shop <shop@shop.example>",
        ["ann@example.org", "Bob <bob@example.org>"],
        html_message="<b>hällo</b>",
    )
    [got] = mailsink.messages

    assert 1 == count
    assert "shop@shop.example" == got.sender
    assert ["ann@example.org", "bob@example.org"] == got.recipients
    assert "Grüße" == got["Subject"]
    assert "Shop <shop@shop.example>" == got["From"]
    assert "hällo" == got.text
    assert "<b>hällo</b>" == got.message.get_body(("html",)).get_content().strip()


def test_bcc(site, mailsink):
    """Who is in Bcc gets the message, and nobody sees that."""
    mail.EmailMessage(
        "s", "t", to=["a@x.example"], cc=["b@x.example"], bcc=["c@x.example"]
    ).send()
    [got] = mailsink.messages

    assert ["a@x.example", "b@x.example", "c@x.example"] == got.recipients
    assert b"c@x.example" not in got.octets


def test_nobody(site, mailsink):
    """A message to nobody is not sent, and is no error."""
    assert 0 == mail.EmailMessage("s", "t").send()
    assert [] == mailsink.messages


def test_attachment(site, mailsink):
    """Attachments come with name, type and every octet."""
    message = mail.EmailMessage("s", "t", to=["a@x.example"])
    message.attach("Prüf.bin", b"\0\xff\r\n.\r\n", "application/octet-stream")
    message.send()
    [part] = mailsink.messages[0].message.iter_attachments()

    assert "Prüf.bin" == part.get_filename()
    assert b"\0\xff\r\n.\r\n" == part.get_content()


def test_a_refusal(site, mailsink):
    """A refusal is an exception of ssmtp that says who was refused."""
    mailsink.refuse("recipient", "550 5.1.1 who?", address="ann@")
    with pytest.raises(ssmtp.RecipientRefused) as caught:
        mail.send_mail("s", "t", None, ["ann@example.org"])

    assert "ann@example.org" == caught.value.recipient
    assert caught.value.kept is not None


def test_silently(site, mailsink):
    """With fail_silently a refusal counts as not sent."""
    mailsink.refuse("recipient", "550 5.1.1 who?")
    if site == "MAILERS":
        backend = mail.mailers["default"]
        backend.fail_silently = True
        count = backend.send_messages([mail.EmailMessage("s", "t", to=["a@x.example"])])
    else:
        count = mail.send_mail("s", "t", None, ["a@x.example"], fail_silently=True)

    assert not count


def test_many(site, mailsink):
    """Mass mail is counted message by message."""
    count = mail.send_mass_mail(
        [("s", "t", None, [f"u{number}@x.example"]) for number in range(3)]
    )

    assert 3 == count
    assert 3 == len(mailsink.messages)


@pytest.mark.skipif(not MAILERS, reason="MAILERS is of Django 6.1")
def test_an_unknown_option(mailsink):
    """A misspelled option is told, as Django tells it for its own mailers."""
    one = {"BACKEND": BACKEND, "OPTIONS": {"confg": str(mailsink.config)}}
    with (
        override_settings(MAILERS={"default": one}),
        pytest.raises(mail.InvalidMailer, match="confg"),
    ):
        mail.mailers["default"]
