"""Callers in an odd world: what no program may count on when it is called."""

from __future__ import annotations

from tests.callers.caller import DOTS, HIDDEN, PLAIN, Caller, head

HELLO = head("To: user@example.com", "Subject: hello")

# Forks twice, closes everything, and keeps two variables, as daemons do.
DAEMON = """\
import os, sys
if os.fork():
    sys.exit()
os.setsid()
if os.fork():
    os._exit(0)
text = open("text", "rb").read()
os.chdir("/")
reading, writing = os.pipe()
child = os.fork()
if not child:
    os.dup2(reading, 0)
    os.closerange(1, 256)
    os.execve("/usr/sbin/sendmail", ["sendmail", "-t"], {"HOME": "/", "PATH": "/bin"})
os.close(reading)
os.write(writing, text)
os.close(writing)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
os.closerange(0, 256)
os.execv("/usr/bin/logger", ["logger", f"the child ended with {status}"])
"""

# Closes the descriptors that are named.
CLOSED = """\
import os, sys
text = open("text", "rb").read()
reading, writing = os.pipe()
os.write(writing, text)
os.close(writing)
child = os.fork()
if not child:
    os.dup2(reading, 0)
    for number in map(int, sys.argv[1:]):
        os.close(number)
    os.execv("/usr/sbin/sendmail", ["sendmail", "-t", "-oi"])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

# Has none of the first three descriptors, so that its pipe gets the first two.
BARE = """\
import os, sys
text = open("text", "rb").read()
os.closerange(0, 3)
reading, writing = os.pipe()
assert (0, 1) == (reading, writing)
child = os.fork()
if not child:
    os.close(1)
    os.set_inheritable(0, True)
    os.execv("/usr/sbin/sendmail", ["sendmail", "-t", "-oi"])
os.close(0)
os.write(1, text)
os.close(1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

# The same, by the library.
POPEN = """\
import os, subprocess, sys
text = open("text", "rb").read()
os.closerange(0, 3)
command = ["/usr/sbin/sendmail", "-t", "-oi"]
sys.exit(subprocess.run(command, input=text).returncode)
"""

# One socket that does not block for input and output, and a pause in the middle.
SOCKETS = """\
import socket, subprocess, sys
text = open("text", "rb").read()
ours, theirs = socket.socketpair()
theirs.setblocking(False)
command = ["/usr/sbin/sendmail", "-t", "-oi"]
mta = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
theirs.close()
half = len(text) // 2
ours.sendall(text[:half])
ours.settimeout(0.3)
try:
    ours.recv(1)
except TimeoutError:
    pass
ours.settimeout(None)
ours.sendall(text[half:])
ours.shutdown(socket.SHUT_WR)
sys.stdout.write(ours.recv(4096).decode())
sys.exit(mta.wait())
"""

# What careless parents hand down.
SIGNALS = """\
import os, signal
for name in ("CHLD", "PIPE", "HUP", "TERM", "INT"):
    signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv("/usr/sbin/sendmail", ["sendmail", "-t", "-oi"])
"""

TRAC = """\
import subprocess, sys
command = ["/usr/sbin/sendmail", "-i", "-f", "trac@example.org", "user@example.com"]
done = subprocess.run(command, input=open("text", "rb").read(), capture_output=True)
said = done.stdout + done.stderr
sys.exit(f"{done.returncode} {said}" if done.returncode or said else 0)
"""

LIES = (
    "env -i HOME=relative LC_ALL=xx_YY.nonsense LOGNAME=root PATH= PYTHONHOME=/tmp"
    " PYTHONIOENCODING=ascii:strict PYTHONPATH=/tmp PYTHONSTARTUP=/tmp/x USER=root"
    " REMOTE_ADDR=192.0.2.1 TMPDIR=/nowhere TZ=:/nowhere"
)

ALL_SWITCHES = (
    "-Ac -B8BITMIME -d0.1 -em -h 9 -L tag -m -n -N never -oA/etc/x -odq -oee"
    " -O DeliveryMode=b -p smtp:here -R hdrs -U -V id -X /tmp/log -FMe"
)

SESSION = "\r\n".join(
    [
        "EHLO localhost",
        "MAIL FROM:<you@example.org>",
        "RCPT TO:<other@example.com>",
        "RSET",
        "NOOP",
        "MAIL FROM:<you@example.org>",
        "RCPT TO:<user@example.com>",
        "DATA",
        "Subject: hello",
        "",
        "..a dot",
        ".",
        "QUIT",
        "",
    ]
)


def plainly(name: str, command: str, stdin: str = HELLO, text: str = "") -> Caller:
    """Return a caller that only has a command and a message."""
    return Caller(name, command, stdin=stdin, text=text or Caller.text)


CALLERS = [
    Caller(
        "here-document below env -i",
        "env -i /usr/sbin/sendmail -t <<END\nTo: user@example.com\n\n$((6 * 7))\nEND\n",
        text="42\n",
    ),
    Caller(
        "a child of a daemon",
        "python3 daemon.py",
        user="root",
        files={"daemon.py": DAEMON, "text": HELLO},
        told="logs: the child ended with 75",
    ),
    Caller(
        "output and errors closed",
        "python3 closed.py 1 2",
        files={"closed.py": CLOSED, "text": HELLO},
    ),
    Caller(
        "errors closed",
        "python3 closed.py 2",
        files={"closed.py": CLOSED, "text": HELLO},
    ),
    Caller(
        "input, output and errors closed",
        "python3 bare.py",
        files={"bare.py": BARE, "text": HELLO},
    ),
    Caller(
        "input, output and errors closed: Python's subprocess",
        "python3 popen.py",
        files={"popen.py": POPEN, "text": HELLO},
    ),
    Caller(
        "any output is an error (Trac)",
        "python3 trac.py",
        sender="trac@example.org",
        files={"trac.py": TRAC, "text": HELLO},
    ),
    Caller(
        "sockets for pipes (node)",
        "python3 sockets.py",
        files={"sockets.py": SOCKETS, "text": HELLO},
    ),
    Caller(
        "signals ignored and blocked",
        "python3 signals.py",
        files={"signals.py": SIGNALS},
        stdin=HELLO,
    ),
    plainly("killed after 5 s (Go)", "timeout -s KILL 5 /usr/sbin/sendmail -oi -t"),
    plainly("an environment of lies", f"{LIES} /usr/sbin/sendmail -t"),
    plainly(
        "a home that is closed",
        "chmod 0 ~; /usr/sbin/sendmail -t; status=$?; chmod 700 ~; exit $status",
    ),
    plainly(
        "a directory that is gone",
        "mkdir x; cd x; rmdir ../x; sendmail() { /usr/sbin/sendmail -t; }; sendmail",
    ),
    plainly("umask 0777", "umask 0777; /usr/sbin/sendmail -t"),
    plainly("eight descriptors", "ulimit -n 8; /usr/sbin/sendmail -t"),
    plainly("a link of one's own", "ln -s /usr/sbin/sendmail x; ./x -t"),
    plainly("/usr/lib/sendmail", "/usr/lib/sendmail -oi user@example.com"),
    plainly(
        "all the switches", f"/usr/sbin/sendmail {ALL_SWITCHES} -- user@example.com"
    ),
    plainly(
        "the switches of the Linux Standard Base",
        "/usr/sbin/sendmail -bm -i -t -odi -oem -oi",
    ),
    plainly("no line end at the end", "/usr/sbin/sendmail -t", HELLO.rstrip("\n")),
    plainly("no header", "/usr/sbin/sendmail user@example.com", PLAIN, PLAIN),
    plainly(
        "a lone dot without -i",
        "/usr/sbin/sendmail -t",
        head("To: user@example.com", text=DOTS),
        DOTS,
    ),
    plainly(
        "CRLF",
        "/usr/sbin/sendmail -i user@example.com",
        HELLO.replace("\n", "\r\n"),
    ),
    plainly(
        "a file that is removed",
        "cat >text; /usr/sbin/sendmail -oem -odb -t <text; status=$?; rm text;"
        " exit $status",
    ),
    plainly(
        "a megabyte in one line",
        "(cat; head -c 1000000 /dev/zero | tr '\\0' x; echo) | /usr/sbin/sendmail -t",
        "To: user@example.com\n\n",
        "x" * 1_000_000 + "\n",
    ),
    Caller(
        "no text",
        "/usr/sbin/sendmail -t",
        stdin="To: user@example.com\nSubject: hello\n",
        text="",
    ),
    Caller(
        "-t -i -f",
        "/usr/sbin/sendmail -t -i -f bounces@example.org",
        sender="bounces@example.org",
        stdin=HELLO,
    ),
    Caller(
        "-fADDRESS -ti",
        "/usr/sbin/sendmail -fbounces@example.org -ti",
        sender="bounces@example.org",
        stdin=HELLO,
    ),
    Caller("-f ''", "/usr/sbin/sendmail -f '' -t", sender="", stdin=HELLO),
    Caller(
        "-f '<>'",
        "/usr/sbin/sendmail -i -f '<>' -- user@example.com",
        sender="",
        stdin=HELLO,
    ),
    Caller(
        "Bcc alone",
        "/usr/sbin/sendmail -t",
        to=(HIDDEN,),
        stdin=head(f"Bcc: {HIDDEN}", "Subject: hello"),
    ),
    Caller(
        "two hundred recipients",
        "/usr/sbin/sendmail -i $(seq -f person%g@example.com 200)",
        to=tuple(f"person{number}@example.com" for number in range(1, 201)),
        stdin=HELLO,
    ),
    Caller(
        "-bs, everything at once",
        "/usr/sbin/sendmail -bs",
        stdin=SESSION,
        prints="220 .*221 [^\n]*\n",
        text=".a dot\n",
        told="says: \n4",
    ),
]
