"""Sessions on a Redis or Valkey server, for the processes of any number of machines.

The client library is imported in this file only: it sends what `ScriptedStore` wants to be run, and
says in our words what went wrong. Nothing is repeated here that may have been done already.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

from typing_extensions import override

from ..abc import Listener
from ..errors import InvalidSettings, StoreUnavailable
from ._redis.cluster import Call, Router, Silences
from ._redis.fitness import SECTIONS, risk_of
from ._redis.keys import Command, Keys, by_hash, by_text, on_the_wire
from ._redis.listener import Line, PublishListener
from ._redis.replies import DAMAGED, UNREACHED
from ._redis.store import ScriptedStore
from ._redis.url import DEFAULT_PREFIX, Options, Target, options_of, target_of
from ._redis.wording import is_of_the_script, sentence_of

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.exceptions import (
        AskError,
        AuthenticationError,
        AuthenticationWrongNumberOfArgsError,
        MovedError,
        NoPermissionError,
        NoScriptError,
        RedisClusterException,
        RedisError,
        ResponseError,
        TryAgainError,
    )
    from redis.retry import Retry
except ImportError as error:
    raise ImportError(
        "agentprogress.stores.redis needs redis-py, which is not installed: "
        "pip install 'agentprogress[redis]'"
    ) from error

__all__ = ["RedisStore"]

_logger = logging.getLogger("agentprogress")

# Committer, listener's reader, and two threads that join or control.
_MAX_CONNECTIONS = 4
_TIMEOUT = 5.0

_NO_NODE = (redis.ConnectionError, redis.TimeoutError)
_NO_RIGHT = (AuthenticationError, AuthenticationWrongNumberOfArgsError, NoPermissionError)

# redis-py's own types are partial, and others with each version.
_library: Any = redis
_Client: TypeAlias = Any
_Connection: TypeAlias = Any
_Topology: TypeAlias = Any


class RedisStore(ScriptedStore):
    """A store on a Redis server of version 7 or later, on Valkey, or on a Cluster of either.

    At most four connections for calls and one for each listener; none for a session or subscriber.
    Safe to use in several threads, and again in the child after a fork.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = DEFAULT_PREFIX,
        cluster: bool = False,
        allow_eviction: bool = False,
    ) -> None:
        """Names a server; nothing is connected before the first call.

        Args:
            url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user, password and database
                as redis-py reads them.
            prefix: how every key and channel begins: 1-64 characters without braces.
            cluster: the server is a node of a Redis Cluster.
            allow_eviction: a server that may throw keys away is warned about instead of refused.

        Raises:
            InvalidSettings: the URL or the prefix cannot be used.
        """
        target = target_of(url, cluster=cluster)
        keys = Keys(prefix)
        self._options = Options(prefix, cluster, allow_eviction)
        self._server = (_Cluster if cluster else _Server)(target)
        super().__init__(keys, self._server)

    @classmethod
    def from_url(cls, url: str) -> RedisStore:
        """Makes one of a URL that may have ``prefix``, ``cluster`` and ``allow_eviction`` as well.

        Raises:
            InvalidSettings: as the constructor.
        """
        url, options = options_of(url)
        return cls(
            url,
            prefix=options.prefix,
            cluster=options.cluster,
            allow_eviction=options.allow_eviction,
        )

    def __repr__(self) -> str:
        return f"RedisStore({self._server.shown!r}, prefix={self._options.prefix!r})"

    @override
    def connect(self) -> None:
        self._server.check(self._options)

    @override
    def close(self) -> None:
        self._server.close()

    @override
    def listen(self) -> Listener:
        return PublishListener(self._keys, self._server.dial, self._server.timeout)


class _Server:
    """One server: runs scripts on it, and says in our words what went wrong.

    Attributes:
        shown: where it is, for people.
        timeout: seconds after which an answer that does not come is given up.
    """

    def __init__(self, target: Target) -> None:
        self.shown = target.shown
        self._url = target.url
        self._pool = self._made(target.url)
        self._client: _Client = _library.Redis(connection_pool=self._pool)
        self.timeout: float = self._pool.connection_kwargs["socket_timeout"]
        self._warned = False

    def _made(self, url: str) -> Any:
        try:
            pool = _library.BlockingConnectionPool.from_url(url, **_how_to_connect(url))
            # Made and thrown away: what is wrong with the arguments is found out here.
            pool.connection_class(**pool.connection_kwargs)
        except (RedisError, TypeError, ValueError) as error:
            raise InvalidSettings(f"The URL of the Redis store is no good: {error}") from None
        return pool

    def close(self) -> None:
        self._client.close()
        self._pool.disconnect()

    # Scripts

    def run(self, commands: Sequence[Command], *, first: Command | None = None) -> list[Any]:
        """See `Calls`: here one follows the other in any case."""
        if first is None:
            return self._run(commands) if commands else []
        return self._run([first, *commands])[1:]

    def _run(self, commands: Sequence[Command]) -> list[Any]:
        """Returns the answer of each, all asked at once.

        A server that was restarted knows no scripts; what it has not run for that reason is sent
        again with its text, and nothing else is.
        """
        with self._worded():
            answers = self._ask([by_hash(command) for command in commands])
            unknown = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                again = self._ask([by_text(commands[number]) for number in unknown])
                for number, answer in zip(unknown, again, strict=True):
                    answers[number] = answer
            return [self._judged(answer) for answer in answers]

    def _ask(self, calls: Sequence[Call]) -> list[Any]:
        return _sent(self._client, calls)

    def _judged(self, answer: Any) -> Any:
        if not isinstance(answer, Exception):
            return answer
        if isinstance(answer, (AskError, TryAgainError, *_NO_NODE)):
            return UNREACHED
        if type(answer) is not ResponseError or not is_of_the_script(str(answer)):
            raise answer
        # One session's keys must not keep all others from being written.
        _logger.warning("store %s: a session's keys are damaged: %s", self.shown, answer)
        return DAMAGED

    # Fitness

    def check(self, options: Options) -> None:
        """Makes sure that it is there and fit for use.

        Raises:
            StoreUnavailable: it is not there, or cannot write.
            InvalidSettings: it must not be used as it is.
        """
        with self._worded(entering=True):
            for info in self._infos():
                risk = risk_of(info, self.shown, options)
                if risk is not None and not self._warned:
                    _logger.warning("%s", risk)
                    self._warned = True

    def _infos(self) -> list[dict[str, Any]]:
        """Returns what each node that can be reached says of itself; one does at least."""
        return [_info(self._client)]

    # Listening

    def dial(self) -> Line:
        """Returns a new connection that only listens."""
        with self._worded():
            return Line(self._connection(), self._worded)

    def _connection(self) -> _Connection:
        return _connected(self._pool)

    # Errors

    @contextmanager
    def _worded(self, *, entering: bool = False) -> Generator[None]:
        """Says what went wrong in our words.

        Args:
            entering: a password that is wrong from the beginning is a mistake of whoever set it.
        """
        try:
            yield
        except _NO_RIGHT as error:
            sentence = f"Redis at {self.shown} does not let us in: {error}"
            raise (InvalidSettings if entering else StoreUnavailable)(sentence) from None
        except redis.TimeoutError:
            raise StoreUnavailable(f"Redis at {self.shown} does not answer in time.") from None
        except (RedisError, RedisClusterException, OSError) as error:
            raise StoreUnavailable(sentence_of(self.shown, str(error) or repr(error))) from None


class _Cluster(_Server):
    """A Redis Cluster; `Router` says why the client library does not send the calls."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._known: _Topology | None = None
        self._stale = False
        self._silences = Silences()

    def close(self) -> None:
        known, self._known = self._known, None
        if known is not None:
            known.close()
        super().close()

    @override
    def run(self, commands: Sequence[Command], *, first: Command | None = None) -> list[Any]:
        if first is not None and self._run([first]) == [UNREACHED]:
            return [UNREACHED] * len(commands)
        return super().run(commands)

    def _topology(self) -> _Topology:
        """Returns who has what; asked for at the first call, and after something went wrong."""
        known = self._known
        if known is None:
            options = _how_to_connect(self._url) | {
                "connection_pool_class": _library.BlockingConnectionPool
            }
            known = self._known = _library.RedisCluster.from_url(self._url, **options)
        elif self._stale:
            self._look_around(known.nodes_manager)
        self._stale = False
        return known

    def _look_around(self, manager: Any) -> None:
        """Asks any node who has what, but no silent one: it would be waited for."""
        everybody = manager.startup_nodes
        awake = {name: each for name, each in everybody.items() if not self._silences.on(name)}
        manager.startup_nodes = awake or everybody
        try:
            manager.initialize()
        except BaseException:
            manager.startup_nodes = everybody
            raise

    def _clients(self) -> list[_Client]:
        try:
            topology = self._topology()
        except RedisClusterException as error:
            if "Cluster mode is not enabled" in str(error.__cause__ or error):
                raise InvalidSettings(f"Redis at {self.shown} is no Cluster.") from None
            raise
        return [topology.get_redis_connection(node) for node in topology.get_primaries()]

    def _infos(self) -> list[dict[str, Any]]:
        answers = [self._answered(client, partial(_info, client)) for client in self._clients()]
        infos = [answer for answer in answers if not isinstance(answer, Exception)]
        if not infos:
            raise answers[0]
        return infos

    def _ask(self, calls: Sequence[Call]) -> list[Any]:
        try:
            answers = Router(self._topology(), self._sent, _has_moved).ask(calls)
            if all(isinstance(answer, _NO_NODE) for answer in answers):
                self._stale = True
                self._topology()  # raises where the others do not answer either
        except (*_NO_NODE, RedisClusterException):
            self._stale = True
            raise
        return answers

    def _sent(self, client: _Client, calls: Sequence[Call]) -> list[Any]:
        answer = self._answered(client, partial(_sent, client, calls))
        return [answer] * len(calls) if isinstance(answer, Exception) else answer

    def _answered(self, client: _Client, ask: Callable[[], Any]) -> Any:
        """Asks a node; that it is gone is no reason not to ask the others, so that is returned."""
        kwargs = client.connection_pool.connection_kwargs
        node = f"{kwargs['host']}:{kwargs['port']}"
        try:
            return self._silences.ask(node, ask)
        except AuthenticationError:
            raise
        except _NO_NODE as error:
            # Somebody else may have taken its slots over.
            self._stale = True
            return error

    def _connection(self) -> _Connection:
        """Connects to any node: what is published on one is told on all."""
        clients = self._clients()
        for client in clients[:-1]:
            with suppress(redis.ConnectionError, redis.TimeoutError):
                return _connected(client.connection_pool)
        return _connected(clients[-1].connection_pool)


def _how_to_connect(url: str) -> dict[str, Any]:
    """What the client library is told besides the URL, which may have some of it as well."""
    options: dict[str, Any] = {
        "max_connections": _MAX_CONNECTIONS,
        "timeout": _TIMEOUT,
        "socket_timeout": _TIMEOUT,
        "client_name": "agentprogress",
        # Version 3 sends the same answers in more shapes, and events in between.
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
    }
    if not url.startswith("unix:"):
        options |= {"socket_connect_timeout": _TIMEOUT, "socket_keepalive": True}
    return options


def _connected(pool: Any) -> _Connection:
    connection: _Connection = pool.connection_class(**pool.connection_kwargs)
    connection.connect()
    return connection


def _info(client: _Client) -> dict[str, Any]:
    info: dict[str, Any] = {}
    for section in SECTIONS:
        info |= client.info(section)
    return info


def _sent(client: _Client, calls: Sequence[Call]) -> list[Any]:
    """Sends calls at once; an error that one of them is answered with stands in its place.

    The library's own pipeline does the same in 40 % more processor time, where an append is small.
    """
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command([on_the_wire(calls)])
        return [_answer(connection) for _ in calls]
    except BaseException:
        connection.disconnect()  # answers may still be on their way
        raise
    finally:
        pool.release(connection)


def _answer(connection: _Connection) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def _has_moved(answer: Any) -> bool:
    return isinstance(answer, MovedError)
