"""What the proxies are told. What docs/servers.md recommends is read from there, word for word."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.conformance.wire import Address

from .certificates import Certificates

__all__ = ["HaproxyKind", "NginxKind", "Place", "haproxy_config", "nginx_config"]

NginxKind = Literal["good", "no_upgrade", "gzip", "buffering", "chained", "idle"]
HaproxyKind = Literal["good", "idle"]

PAGE = Path(__file__).parents[2] / "docs" / "servers.md"

# What the page's examples have where a test has something of its own.
_APP = "127.0.0.1:8000"
_BIND = "bind :443 ssl crt /etc/haproxy/site.pem"

_NGINX = """\
daemon off;
worker_processes 1;
# As root, workers would be nobody, who may not enter a folder of the tests.
{user}
pid {folder}/nginx.pid;
error_log stderr warn;
# Streams that run are given this long when the configuration is read anew.
worker_shutdown_timeout 100ms;

events {{ worker_connections 256; }}

http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;

    {http}

    server {{
        # With reuseport it may bind what the test has reserved.
        listen {public[0]}:{public[1]} ssl reuseport;
        ssl_certificate {server_pem};
        ssl_certificate_key {server_pem};

        {location}
    }}
}}
"""

_BARE_LOCATION = """\
location / {{ proxy_pass http://{app[0]}:{app[1]}; }}
"""

_GZIP = """\
gzip on;
gzip_min_length 0;
gzip_types text/event-stream;
"""

# It holds back what comes, even the headers, until it has 64 KiB or the end.
_BUFFERING = """\
location / {{
    proxy_pass http://{app[0]}:{app[1]};
    proxy_buffer_size 64k;
    proxy_buffers 8 64k;
    proxy_busy_buffers_size 64k;
    proxy_ignore_headers X-Accel-Buffering;
}}
"""

# Two nginx in a row, each with the least that passes requests on.
_OUTER_LOCATION = """\
location / {{ proxy_pass http://{inner[0]}:{inner[1]}; }}
"""
_INNER_SERVER = """\
server {{
    listen {inner[0]}:{inner[1]} reuseport;
    location / {{ proxy_pass http://{app[0]}:{app[1]}; }}
}}
"""

_HAPROXY = """\
global
    stats socket ipv4@{inner[0]}:{inner[1]} level admin

{recommended}
"""


@dataclass(frozen=True)
class Place:
    """Where a proxy stands.

    Attributes:
        folder: for its files.
        public: where it listens, with TLS.
        inner: a second address: an inner nginx, or HAProxy's admin socket.
        app: the server that it stands before.
        idle_timeout: after how much silence a stream is cut, as proxies write it; `idle` only.
    """

    folder: Path
    public: Address
    inner: Address
    app: Address
    certificates: Certificates
    idle_timeout: str

    @property
    def words(self) -> Mapping[str, object]:
        """What is filled in."""
        return {
            "folder": self.folder,
            "public": self.public,
            "inner": self.inner,
            "app": self.app,
            "server_pem": self.certificates.server,
            "user": "user root;" if os.geteuid() == 0 else "",
        }


def nginx_config(kind: NginxKind, place: Place) -> str:
    """Returns an nginx.conf."""
    location, connection_map = _recommended("nginx")
    location = _replaced(location, _APP, _joined(place.app))
    http = connection_map
    if kind == "no_upgrade":
        location = _BARE_LOCATION.format(**place.words)
    elif kind == "gzip":
        http += _GZIP
    elif kind == "buffering":
        location = _BUFFERING.format(**place.words)
    elif kind == "chained":
        location = _OUTER_LOCATION.format(**place.words)
        http += _INNER_SERVER.format(**place.words)
    elif kind == "idle":
        location = _with_timeouts(location, r"(proxy_read_timeout) \w+;", place.idle_timeout, ";")
    return _NGINX.format(http=http, location=location, **place.words)


def haproxy_config(kind: HaproxyKind, place: Place) -> str:
    """Returns an haproxy.cfg."""
    (recommended,) = _recommended("haproxy")
    recommended = _replaced(recommended, _APP, _joined(place.app))
    bind = f"bind {_joined(place.public)} ssl crt {place.certificates.server}"
    recommended = _replaced(recommended, _BIND, bind)
    if kind == "idle":
        # The client's own timeout ends no stream that the server has begun.
        timeouts = r"(timeout (?:server|tunnel)) +\w+"
        recommended = _with_timeouts(recommended, timeouts, place.idle_timeout)
    return _HAPROXY.format(recommended=recommended, **place.words)


def _recommended(language: str) -> list[str]:
    """Returns the page's examples in a proxy's language."""
    page = PAGE.read_text(encoding="utf-8")
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return found


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{PAGE.name} has {old!r} {text.count(old)} times"
    return text.replace(old, new)


def _with_timeouts(text: str, pattern: str, timeout: str, end: str = "") -> str:
    replaced, count = re.subn(pattern, rf"\1 {timeout}{end}", text)
    assert count, f"{PAGE.name} sets no {pattern}"
    return replaced


def _joined(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
