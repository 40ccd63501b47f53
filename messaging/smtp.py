"""SMTP that knows how far it got, and when it is time to give up.

Whether the server may already have the mail when the line breaks decides what the break means. And a
timeout of the standard library's counts anew with every octet: a server that hangs, or answers a letter
at a time, could hold a worker until it is killed.
"""

import smtplib
from time import monotonic
from typing import Any

from django.core.mail.backends.smtp import EmailBackend as DjangoBackend


class _Lines:
    """The server's answers, line by line, until the deadline of the conversation that they belong to."""

    def __init__(self, talk: "_Progress") -> None:
        self._talk = talk
        self._read = b""

    def readline(self, limit: int) -> bytes:
        while b"\n" not in self._read and len(self._read) < limit:
            self._talk.hurry()
            if not (more := self._talk.sock.recv(4096)):
                break
            self._read += more
        end = min(self._read.find(b"\n") + 1 or len(self._read), limit)
        line, self._read = self._read[:end], self._read[end:]
        return line

    def close(self) -> None:
        """The socket belongs to somebody else."""


class _Progress:
    """Mixed into smtplib's classes. `handed_over` is True once a mail's last byte was written."""

    handed_over = False
    sock: Any
    file: Any
    timeout: Any
    _in_data = False
    _deadline: float | None = None

    def begin(self) -> None:
        """From now on the timeout runs, for everything until this is called again."""
        self._deadline = None if self.timeout is None else monotonic() + self.timeout

    def hurry(self) -> None:
        """Let the socket wait no longer than there is time. Raises TimeoutError where there is none."""
        if self._deadline is None:
            return
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.sock.settimeout(left)

    def _get_socket(self, host: Any, port: Any, timeout: Any) -> Any:
        self.begin()
        return super()._get_socket(host, port, timeout)  # type: ignore[misc]

    def getreply(self) -> Any:
        if self.file is None:
            self.file = _Lines(self)
        return super().getreply()  # type: ignore[misc]

    def mail(self, *arguments: Any, **named: Any) -> Any:
        self.handed_over = False
        return super().mail(*arguments, **named)  # type: ignore[misc]

    def data(self, msg: Any) -> Any:
        self._in_data = True
        try:
            return super().data(msg)  # type: ignore[misc]
        finally:
            self._in_data = False

    def send(self, s: Any) -> None:
        if self.sock is not None:
            self.hurry()
        super().send(s)  # type: ignore[misc]
        # smtplib writes commands as text and the mail, with its final dot, as bytes in one call. Where
        # that call raises, the dot was not written, so the server cannot have accepted the mail.
        if self._in_data and isinstance(s, bytes):
            self.handed_over = True


class _Smtp(_Progress, smtplib.SMTP):
    pass


class _SmtpSsl(_Progress, smtplib.SMTP_SSL):
    pass


class EmailBackend(DjangoBackend):
    """Django's SMTP backend over connections that keep track."""

    @property
    def connection_class(self) -> Any:
        return _SmtpSsl if self.use_ssl else _Smtp

    def _send(self, email_message: Any) -> bool:
        connection: Any = self.connection
        # Writing the mail may already fail, and then the last mail's progress must not speak for this one.
        connection.handed_over = False
        connection.begin()
        envelope = getattr(email_message, "envelope", None)
        if envelope is None:
            return bool(super()._send(email_message))  # type: ignore[misc]
        written = email_message.message().as_bytes(linesep="\r\n")
        connection.sendmail(envelope[0], [envelope[1]], written)
        return True

    @property
    def handed_over(self) -> bool:
        """Whether the server may have the mail that was being sent last."""
        return bool(getattr(self.connection, "handed_over", False))
