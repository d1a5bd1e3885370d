"""docs/callers.md is followed for systemd: a unit that fails is told of by mail."""

from __future__ import annotations

from tests.agent.test_systemd import boot
from tests.docs import pages
from tests.install.test_agent_page import booted, lay

TEXT = (pages.ROOT / "docs" / "callers.md").read_text("utf-8")
FAILING = "[Service]\nType=oneshot\nExecStart=/bin/false\n"


@booted
def test_a_unit_that_fails(tmp_path):
    """Root gets one mail, with the unit in its subject and its state as its text."""
    script = pages.named(TEXT, "caller")["onfailure-script"]
    followed = pages.named(TEXT, "followed")
    said = boot(
        tmp_path,
        f"""
hub
{lay("/usr/local/bin/notify", script)}
chmod 755 /usr/local/bin/notify
ln -sf /checkout/bin/sendmail /usr/sbin/sendmail
{lay("/etc/systemd/system/notify@.service", followed["notify"])}
{lay("/etc/systemd/system/backup.service", FAILING)}
mkdir /etc/systemd/system/backup.service.d
{lay("/etc/systemd/system/backup.service.d/override.conf", followed["watched"])}
systemctl daemon-reload
systemctl enable --now --quiet ssmtp.socket ssmtp-sender.service
systemctl start backup.service 2>/dev/null; say started $?
until_true arrived 1
say told "$(ls /out/mails | wc -l)"
""",
    )
    (mail,) = (tmp_path / "out" / "mails").iterdir()
    text = mail.read_text()

    assert ["1", "1"] == [said["started"], said["told"]]
    assert "To: admin@example.org" in text
    assert "Subject: backup.service has failed" in text
    assert "ExecStart=/bin/false" in text
