"""What went wrong, in words for people: httpx2's exceptions told as those of `_link`."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Generator

import anyio
import httpx2
from wsproto.utilities import ProtocolError

from ..errors import FollowError, FollowErrorKind
from ._link import Cut, Unreachable

__all__ = ["translated"]


@contextlib.contextmanager
def translated() -> Generator[None]:
    """Tells what httpx2 raises in the words of `_link`.

    Raises:
        Unreachable, Cut: as they are told there.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        # The WebSocket's own tasks: a peer that breaks the rules of the framing ends them.
        broken, rest = group.split((ProtocolError, httpx2.TransportError, OSError))
        if broken is None:
            raise
        cancelled = rest and rest.subgroup(anyio.get_cancelled_exc_class())
        if cancelled is not None:
            raise cancelled from None  # who is leaving does not ask how the connection ended
        if rest is not None:
            raise
        raise Cut(_broken(broken)) from group
    except (httpx2.InvalidURL, UnicodeError) as error:
        sentence = "The URL has a host that cannot be, or is too long."
        raise Unreachable(FollowError("protocol", sentence, retryable=False)) from error
    except httpx2.ConnectTimeout as error:
        raise Unreachable(_unreachable(error, "timeout")) from error
    except (httpx2.ConnectError, httpx2.ProxyError) as error:
        raise Unreachable(_untrusted(error) or _unreachable(error, "network")) from error
    except httpx2.TimeoutException as error:
        raise Cut(FollowError("timeout", "No answer came in time.", retryable=True)) from error
    except httpx2.TooManyRedirects as error:
        sentence = "The server redirects in a circle: a sign-in page, or a proxy that is set wrong."
        raise Unreachable(FollowError("protocol", sentence, retryable=False)) from error
    except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
        # The last as TLS on asyncio raises it: a record that does not fit.
        raise Cut(_broken(error)) from error


def _unreachable(error: Exception, kind: FollowErrorKind) -> FollowError:
    return FollowError(kind, f"The server cannot be reached: {_words(error)}.", retryable=True)


def _broken(error: BaseException) -> FollowError:
    return FollowError("network", f"The connection broke: {_words(error)}.", retryable=True)


def _untrusted(error: BaseException) -> FollowError | None:
    """A certificate that is not trusted now will not be trusted in a moment."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            sentence = (
                f"The server's certificate is not trusted ({cause.verify_message}): pass an "
                "ssl_context that knows its authority, or name the file in SSL_CERT_FILE."
            )
            return FollowError("network", sentence, retryable=False)
        cause = cause.__cause__ or cause.__context__
    return None


def _words(error: BaseException) -> str:
    """What the system says is clearer than what is made of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(
            cause, ssl.SSLError
        ):  # its number is none of the system's, nor the next one's
            return (cause.reason or str(cause)).lower().replace("_", " ")
        if isinstance(cause, socket.gaierror):
            return (cause.strerror or str(cause)).lower()
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
        cause = cause.__cause__ or cause.__context__
    return (str(error) or type(error).__name__).rstrip(".")
