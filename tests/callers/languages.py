"""Libraries for mail of programming languages; those of PHP are in `php`."""

from __future__ import annotations

from tests.callers.caller import DOTS, HIDDEN, PLAIN, Caller, head, page

THREE = ("user@example.com", "ann@example.org", HIDDEN)
SHOP = "Shop <shop@example.org>"
EMAIL_SENDER = page("perl")

MIME_LITE = f"""\
use MIME::Lite;
local $/;
my $mail = MIME::Lite->new(From => '{SHOP}', To => 'user@example.com',
    Cc => 'ann', Bcc => '{HIDDEN}', Subject => 'hello', Data => <STDIN>);
$mail->attr('content-type.charset' => 'UTF-8');
$mail->send or exit 1;
"""

MAIL_MAILER = f"""\
use Mail::Mailer;
local $/;
my $mailer = Mail::Mailer->new('sendmail');
$mailer->open({{From => '{SHOP}', To => 'user@example.com, ann', Subject => 'hello'}});
print $mailer <STDIN>;
$mailer->close or exit 1;
"""

MIME_ENTITY = f"""\
use MIME::Entity;
local $/;
MIME::Entity->build(From => '{SHOP}', To => 'user@example.com', Subject => 'hello',
    Charset => 'UTF-8', Encoding => 'base64', Data => <STDIN>)->send('sendmail')
    or exit 1;
"""

EMAIL_STUFFER = f"""\
use Email::Stuffer; use Email::Sender::Transport::Sendmail; use Encode;
local $/;
Email::Stuffer->from('{SHOP}')->to('user@example.com')->subject('hello')
    ->text_body(decode_utf8(<STDIN>))->transport('Sendmail')->send_or_die;
"""

# Version 2.7 of the gem encodes CRLF as a part of the text.
RUBY_TEXT = DOTS.replace("\n", "\r\n")

RUBY = f"""\
{page("ruby")}
text = File.read('text')
Mail.new {{
  from '{SHOP}'; to 'user@example.com'; cc 'ann@example.org'; bcc '{HIDDEN}'
  subject 'hello'; self.charset = 'UTF-8'; body text
}}.deliver!
"""

ACTIONMAILER = f"""\
require 'action_mailer'
ActionMailer::Base.delivery_method = :sendmail
class Notice < ActionMailer::Base
  def hello
    mail(from: '{SHOP}', to: 'user@example.com', bcc: '{HIDDEN}', subject: 'hello',
         body: File.read('text'))
  end
end
Notice.hello.deliver_now
"""

NODEMAILER = f"""\
{page("node")}
transport.sendMail({{
  from: '{SHOP}', to: 'user@example.com', cc: 'ann@example.org', bcc: '{HIDDEN}',
  subject: 'hello', text: require('fs').readFileSync('text', 'utf8'),
}}).catch(error => {{ console.error(error.message); process.exit(1); }});
"""

PYTHON = page("python")

LOG_DISPATCH = """\
use Log::Dispatch::Email::MailSend;
my $log = Log::Dispatch::Email::MailSend->new(name => 'mail', min_level => 'error',
    to => 'user@example.com', from => 'you@example.org', subject => 'hello');
$log->log(level => 'error', message => "It is full.\\n");
"""

CALLERS = [
    Caller(
        "Perl: Email::Sender",
        "perl mail.pl",
        to=("user@example.com", "ann@example.org"),
        sender="bounces@example.org",
        author=SHOP,
        files={"mail.pl": EMAIL_SENDER},
        stdin=head(
            f"From: {SHOP}", "To: user@example.com", "Subject: hello", text=DOTS
        ),
        text=DOTS,
    ),
    Caller(
        "Perl: MIME::Lite",
        "perl mail.pl",
        to=THREE,
        sender="shop@example.org",
        author=SHOP,
        files={"mail.pl": MIME_LITE},
        stdin=PLAIN,
        text=PLAIN,
    ),
    Caller(
        "Perl: Mail::Mailer",
        "perl mail.pl",
        to=("user@example.com", "ann@example.org"),
        sender="shop@example.org",
        files={"mail.pl": MAIL_MAILER},
        stdin=DOTS,
        text=DOTS,
    ),
    Caller(
        "Perl: Log::Dispatch",
        "perl mail.pl",
        files={"mail.pl": LOG_DISPATCH},
        subject="hello",
        text="It is full.\n",
        told="nobody",
    ),
    Caller(
        "Perl: MIME::Entity",
        "perl mail.pl",
        sender="shop@example.org",
        files={"mail.pl": MIME_ENTITY},
        stdin=DOTS,
        text=DOTS,
    ),
    Caller(
        "Perl: Email::Stuffer",
        "perl mail.pl",
        sender="shop@example.org",
        files={"mail.pl": EMAIL_STUFFER},
        stdin=DOTS,
        text=DOTS,
    ),
    Caller(
        "Ruby: mail",
        "ruby mail.rb",
        to=THREE,
        sender="shop@example.org",
        author=SHOP,
        files={"mail.rb": RUBY, "text": DOTS},
        text=RUBY_TEXT,
        told="says: sendmail: ",
    ),
    Caller(
        "Ruby: Action Mailer",
        "ruby mail.rb",
        to=("user@example.com", HIDDEN),
        sender="shop@example.org",
        files={"mail.rb": ACTIONMAILER, "text": DOTS},
        text=RUBY_TEXT,
        told="says: sendmail: ",
    ),
    Caller(
        "node: nodemailer",
        "NODE_PATH=/usr/share/nodejs node mail.js",
        to=THREE,
        sender="shop@example.org",
        author=SHOP,
        files={"mail.js": NODEMAILER, "text": DOTS},
        text=DOTS,
    ),
    Caller(
        "Rust: lettre",
        "/usr/sbin/sendmail -i -f shop@example.org -- user@example.com",
        sender="shop@example.org",
        author=SHOP,
        stdin=head(f"From: {SHOP}", "To: user@example.com", "Subject: hello"),
    ),
    Caller(
        "Python: subprocess",
        "python3 mail.py",
        files={"mail.py": PYTHON},
        stdin=DOTS,
        text=DOTS,
    ),
    Caller(
        "awk: a pipe",
        """awk 'BEGIN {
            mta = "/usr/sbin/sendmail -t"
            print "To: user@example.com\\n\\nhello" | mta
            exit close(mta)
        }'""",
        text="hello\n",
    ),
    Caller(
        "bash: a coprocess that speaks SMTP",
        "bash session",
        files={
            "session": """\
coproc mta { /usr/sbin/sendmail -bs; }
say() { printf '%s\\r\\n' "$@" >&"${mta[1]}"; }
hear() {
    read -r said <&"${mta[0]}"
    case $said in $1*) ;; *) echo "$said"; exit 1 ;; esac
}
hear 220
say 'HELO box'; hear 250
say 'MAIL FROM:<you@example.org>'; hear 250
say 'RCPT TO:<user@example.com>'; hear 250
say DATA; hear 354
say 'Subject: hello' '' ..dot .; hear 250
say QUIT; hear 221
"""
        },
        subject="hello",
        text=".dot\n",
    ),
]
