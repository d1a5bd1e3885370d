"""PHP: its function mail(), and the libraries that take its place."""

from __future__ import annotations

from tests.callers.caller import DOTS, HIDDEN, PLAIN, TEXT, Caller, page

THREE = ("user@example.com", "ann@example.org", HIDDEN)
SHOP = "Shop <shop@example.org>"
PHP = "php -d display_errors=1 -d error_reporting=E_ERROR "

# Bcc among the header fields, which PHP ends with CRLF, and a text that it does not.
PHP_MAIL = f"""<?php
$fields = "From: {SHOP}\\r\\nCc: ann@example.org\\r\\nBcc: {HIDDEN}\\r\\n"
    . "MIME-Version: 1.0\\r\\nContent-Type: text/plain; charset=UTF-8\\r\\n"
    . "Content-Transfer-Encoding: 8bit";
exit(mail("user@example.com", "hello", file_get_contents("/text"), $fields%s) ? 0 : 1);
"""

SYMFONY = f"""<?php
require '/usr/share/php/Symfony/Component/Mailer/autoload.php';
use Symfony\\Component\\Mailer\\{{Mailer, Transport}};
use Symfony\\Component\\Mime\\Email;
$mailer = new Mailer(Transport::fromDsn(trim(file_get_contents('/dsn'))));
foreach (['one', 'two'] as $subject)
    $mailer->send((new Email())->from('{SHOP}')->to('user@example.com')
        ->cc('ann@example.org')->bcc('{HIDDEN}')->subject($subject)
        ->text(file_get_contents('/text')));
"""

PHPMAILER = f"""<?php
require '/usr/share/php/libphp-phpmailer/autoload.php';
$mail = new PHPMailer\\PHPMailer\\PHPMailer(true);
$mail->isSendmail();
$mail->CharSet = 'UTF-8';
$mail->setFrom('shop@example.org', 'Shop');
$mail->Sender = 'bounces@example.org';
$mail->addAddress('user@example.com');
$mail->addCC('ann@example.org');
$mail->addBCC('{HIDDEN}');
$mail->Subject = 'hello';
$mail->Body = file_get_contents('/text');
$mail->send();
"""

SWIFT = f"""<?php
require '/usr/share/php/Swift/autoload.php';
require_once '/usr/share/php/Swift/swift_required.php';
$mailer = new Swift_Mailer(new Swift_SendmailTransport('/usr/sbin/sendmail -bs'));
foreach (['one', 'two'] as $subject)
    if ($mailer->send((new Swift_Message($subject))->setFrom('shop@example.org')
            ->setTo('user@example.com')->setBcc('{HIDDEN}')
            ->setBody(file_get_contents('/text'))) != 2) exit(1);
"""

PEAR = f"""<?php
require 'Mail.php';
$mailer = Mail::factory('sendmail');
$fields = ['From' => '{SHOP}', 'To' => 'user@example.com', 'Subject' => 'hello'];
$text = file_get_contents('/text');
$sent = $mailer->send('user@example.com, {HIDDEN}', $fields, $text);
exit($sent === true ? 0 : 1);
"""

CALLERS = [
    Caller(
        "mail()",
        PHP + "/mail.php",
        user="www-data",
        to=THREE,
        sender="shop@example.org",
        author=SHOP,
        subject="hello",
        files={
            "/etc/php/8.2/cli/conf.d/99-mail.ini": page("php"),
            "/mail.php": PHP_MAIL % "",
            "/text": DOTS,
        },
        text=DOTS + "\n",
    ),
    Caller(
        "mail() with a fifth parameter",
        PHP + "/mail.php",
        user="www-data",
        to=THREE,
        sender="bounces@example.org",
        author=SHOP,
        files={"/mail.php": PHP_MAIL % ', "-fbounces@example.org"', "/text": DOTS},
        text=DOTS + "\n",
    ),
    Caller(
        "PHPMailer",
        PHP + "/mail.php",
        user="www-data",
        to=THREE,
        sender="bounces@example.org",
        author=SHOP,
        files={"/mail.php": PHPMAILER, "/text": TEXT},
        status=0,
        told="says: Could not execute",
    ),
    Caller(
        "PEAR Mail",
        PHP + "/mail.php",
        user="www-data",
        to=("user@example.com", HIDDEN),
        sender="shop@example.org",
        author=SHOP,
        files={"/mail.php": PEAR, "/text": PLAIN},
        text=PLAIN,
    ),
    Caller(
        "Symfony Mailer over -bs",
        PHP + "/mail.php",
        user="www-data",
        to=THREE,
        sender="shop@example.org",
        author=SHOP,
        count=2,
        files={
            "/mail.php": SYMFONY,
            "/text": DOTS,
            "/dsn": page("symfony").split("=")[1],
        },
        text=DOTS + "\n",
    ),
    Caller(
        "Symfony Mailer with -t",
        PHP + "/mail.php",
        user="www-data",
        to=THREE,
        sender="shop@example.org",
        author=SHOP,
        count=2,
        files={
            "/mail.php": SYMFONY,
            "/text": DOTS,
            "/dsn": "sendmail://default?command=/usr/sbin/sendmail%20-t%20-i",
        },
        text=DOTS,
        told="nobody",
    ),
    Caller(
        "Swift Mailer over -bs",
        PHP + "/mail.php",
        user="www-data",
        to=("user@example.com", HIDDEN),
        sender="shop@example.org",
        count=2,
        files={"/mail.php": SWIFT, "/text": DOTS},
        text=DOTS + "\n",
    ),
]
