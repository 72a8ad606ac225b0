"""Signed tokens for one session: issued by the application, checked by `authorize`, never stored.

PyJWT is imported in this file only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ._clock import SystemClock
from ._core.cursor import check_session_id
from .abc import Clock
from .access import Access, AccessRequest, Action
from .errors import Forbidden, InvalidSettings, TokenExpired, Unauthorized
from .settings import HOUR, Settings

try:
    import jwt
except ImportError as error:
    raise ImportError(
        "agentprogress.jwt needs PyJWT, which is not installed: pip install 'agentprogress[jwt]'"
    ) from error

__all__ = ["TokenSigner"]

# RFC 7518, 3.2: a key of the size of the hash output, or larger, must be used.
_MIN_KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
_REQUIRED = ["aud", "exp", "iat", "actions"]
_OF_A_SESSION: frozenset[Action] = frozenset({"follow", "control"})
_OF_A_PRINCIPAL: frozenset[Action] = frozenset({"list"})

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
# A token is something that a client sends, and is bounded like all of it.
_MAX_TOKEN_CHARS = Settings().max_client_frame_bytes


class _Claims(BaseModel):
    """What a token says; `session_id` must be there, and is null in a token that lists."""

    model_config = ConfigDict(strict=True, frozen=True)

    session_id: str | None
    actions: list[Action]
    exp: float = Field(allow_inf_nan=False)
    nbf: float = Field(default=-math.inf)
    sub: str | None = None


class TokenSigner:
    """Issues tokens for sessions, and is asked whether one lets a connection in.

    Whoever has the key can issue; keep it where other secrets are. Neither keys nor tokens are ever
    part of a log, an error or a repr.

    Args:
        key: the secret, at least as long as the algorithm's hash: 32 bytes for HS256, 48 for HS384,
            64 for HS512. Text is taken as UTF-8.
        previous: keys that still verify but do not sign any more, for rotation.
        algorithm: the only one that is accepted, whatever a token says of itself.
        audience: the claim ``aud`` of every token; tokens that the same key signed for something
            else are refused.
        leeway: seconds for which a token is still good after its time, where the clocks of issuer
            and server differ.
        clock: what tells the time; the machine's by default.

    Raises:
        InvalidSettings: a key is too short or not a secret, or another argument makes no sense.
    """

    __slots__ = ("_algorithm", "_audience", "_clock", "_keys", "_leeway")

    def __init__(
        self,
        key: str | bytes,
        *,
        previous: Iterable[str | bytes] = (),
        algorithm: Literal["HS256", "HS384", "HS512"] = "HS256",
        audience: str = "agentprogress",
        leeway: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        if algorithm not in _MIN_KEY_BYTES:
            raise InvalidSettings(
                f"algorithm must be one of {', '.join(_MIN_KEY_BYTES)}, not {algorithm!r}."
            )
        if not audience:
            raise InvalidSettings("audience must not be empty.")
        if not 0 <= leeway < math.inf:
            raise InvalidSettings(f"leeway must be seconds that are not negative, not {leeway!r}.")
        if isinstance(previous, str | bytes):
            raise InvalidSettings("previous must be a sequence of keys, not one key.")
        self._keys = [_checked(each, algorithm) for each in (key, *previous)]
        self._algorithm = algorithm
        self._audience = audience
        self._leeway = leeway
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"TokenSigner(algorithm={self._algorithm!r}, audience={self._audience!r})"

    def issue(
        self,
        session_id: str | None,
        actions: Sequence[Action] = ("follow",),
        ttl: float = HOUR,
        principal: str | None = None,
    ) -> str:
        """Returns a token for one session; or, with None, for listing a principal's sessions.

        Args:
            session_id: the only session it opens. None: it opens none, and ``actions=("list",)``
                and `principal` must say what it is for.
            actions: ``follow`` (read) and ``control`` (cancel, answer); one does not imply the
                other.
            ttl: seconds until it expires, rounded up to whole ones.
            principal: who it is for: the claim ``sub``. Subscribers are counted by it, and
                ``list`` shows the sessions whose owner it is.

        Raises:
            InvalidSessionId: the id is none.
            InvalidSettings: `ttl` is less than a second, the actions do not fit, or the token would
                be longer than ``Settings.max_client_frame_bytes``.
        """
        _check_scope(session_id, frozenset(actions), principal)
        if not 1 <= ttl < math.inf:
            raise InvalidSettings(f"ttl must be at least 1 second and finite, not {ttl!r}.")
        now = int(self._clock.wall())
        claims: dict[str, object] = {
            "aud": self._audience,
            "iat": now,
            "exp": now + math.ceil(ttl),
            "session_id": session_id,
            "actions": sorted(set(actions)),
        }
        if principal is not None:
            claims["sub"] = principal
        token = jwt.encode(claims, self._keys[0], algorithm=self._algorithm)
        if len(token) > _MAX_TOKEN_CHARS:
            raise InvalidSettings(f"The token would be longer than {_MAX_TOKEN_CHARS} characters.")
        return token

    def authorize(self, request: AccessRequest) -> Access:
        """Answers for an app: pass it on as ``authorize=signer.authorize``.

        The token alone decides; nothing of the session is looked at.

        Raises:
            Unauthorized: there is no token, or none that one of the keys signed for this audience.
            TokenExpired: its time is over.
            Forbidden: it is for another session, or does not allow the action.
        """
        if request.connection.bearer is None:
            raise Unauthorized(
                "Send a token: Authorization: Bearer <token>, or with a browser's WebSocket the "
                "subprotocol agentprogress.bearer.<base64url of the token>."
            )
        claims = self._verified(request.connection.bearer)
        now = self._clock.wall()
        if claims.nbf > now + self._leeway:
            raise Unauthorized("The token is not valid yet.")
        expires_at = claims.exp + self._leeway
        if expires_at <= now:
            raise TokenExpired
        # A list is of no session, like the token that allows it.
        if (request.session_id or None) != claims.session_id:
            raise Forbidden("The token is not for this session.")
        if request.action not in claims.actions:
            raise Forbidden(f"The token does not allow to {request.action}.")
        return Access(claims.sub, frozenset(claims.actions), expires_at)

    def _verified(self, token: str) -> _Claims:
        """Returns what a token of ours says.

        Raises:
            Unauthorized: it is not ours. No cause is chained, because one could quote the token.
        """
        if len(token) <= _MAX_TOKEN_CHARS and _TOKEN.fullmatch(token):
            for key in self._keys:
                try:
                    return self._decoded(token, key)
                except jwt.InvalidSignatureError:
                    continue
                # The header is parsed before any signature is checked, and not every PyJWT makes
                # errors of its own of deep nesting and huge numbers.
                except (jwt.PyJWTError, ValidationError, ValueError, RecursionError):
                    break
        raise Unauthorized("The token is not valid: its signature, audience or form is wrong.")

    def _decoded(self, token: str, key: bytes) -> _Claims:
        payload = jwt.decode(
            token,
            key,
            algorithms=[self._algorithm],
            audience=self._audience,
            # PyJWT would ask the machine's clock; `authorize` asks the one that was passed in.
            options={
                "require": _REQUIRED,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        return _Claims.model_validate(payload)


def _checked(key: str | bytes, algorithm: str) -> bytes:
    secret = key.encode() if isinstance(key, str) else key
    least = _MIN_KEY_BYTES[algorithm]
    if len(secret) < least:
        raise InvalidSettings(
            f"A key for {algorithm} must have at least {least} bytes (RFC 7518, 3.2), not "
            f"{len(secret)}. This makes one: "
            'python -c "import secrets; print(secrets.token_urlsafe(64))"'
        )
    try:
        jwt.get_algorithm_by_name(algorithm).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise InvalidSettings(
            f"{algorithm} takes a secret; this is the public or private key of another algorithm."
        ) from None
    return secret


def _check_scope(session_id: str | None, actions: frozenset[Action], principal: str | None) -> None:
    if session_id is not None:
        check_session_id(session_id)
        if not actions or actions - _OF_A_SESSION:
            raise InvalidSettings(
                f"A session's token allows follow, control or both, not {sorted(actions)}."
            )
        return
    if actions != _OF_A_PRINCIPAL or not principal:
        raise InvalidSettings(
            'Without a session a token allows a principal to list: issue(None, ("list",), '
            "principal=…)."
        )
