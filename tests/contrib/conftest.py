"""The fixture under test, also where the package is not installed."""

from ssmtp.contrib.mailsink import mailsink as mailsink
