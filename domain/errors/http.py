"""Errors of the HTTP door: who may come in, and in which form. They look like all the others."""

from domain.errors.base import Conflict, Invalid, NotFound, Refused


class HostRefused(Refused):
    """The Host header names none of this server's names: what keeps other sites' names from pointing here."""

    code = "http.host"
    http = 421
    message = "this server does not answer to the host {host!r}"
    hint = "rt serve --allow-host NAME"


class OriginRefused(Refused):
    """A page of another origin may not write here."""

    code = "http.origin"
    message = "requests from another site are refused: {why}"


class TokenMissing(Refused):
    """No token, or one that is not known, or not any more."""

    code = "http.token"
    http = 401
    message = "{why}"
    hint = "rt token new --scope read  # then send it as: Authorization: Bearer …"


class ScopeMissing(Refused):
    """The token does not reach that far."""

    code = "http.scope"
    message = "this needs the scope {scope!r}, and the token has {has}"
    hint = "rt token new --scope {scope}"


class PathUnknown(NotFound):
    """There is no such address."""

    code = "http.path"
    message = "there is nothing at this address"


class MethodRefused(Refused):
    """The address is there, and does not take this method."""

    code = "http.method"
    http = 405
    message = "{method} is not for this address; it takes {allowed}"


class NotJson(Invalid):
    """The body is no JSON."""

    code = "http.not_json"
    http = 400
    message = "{where}: {why}"


class TooLarge(Invalid):
    """More bytes than this address takes."""

    code = "http.too_large"
    http = 413
    message = "{where}: more than {most} bytes"


class TooSlow(Conflict):
    """A request that does not arrive."""

    code = "http.too_slow"
    http = 408
    message = "the request was not there after {seconds} s"


class MediaRefused(Invalid):
    """Bodies are JSON."""

    code = "http.media"
    http = 415
    message = "expected the content type application/json, got {given!r}"


class RangeRefused(Invalid):
    """A range that the file does not have."""

    code = "http.range"
    http = 416
    message = "the range {given!r} is not in a file of {size} bytes"


class TooMany(Conflict):
    """More than the limit for this client; it may come again."""

    code = "http.too_many"
    http = 429
    message = "{what}: at most {most}; come again in {seconds} s"


class PositionAhead(Conflict):
    """A client remembers more than the log holds: it is another log, or one that was restored."""

    code = "log.position_ahead"
    message = "position {given} is beyond the end of the log at {head}: load the state anew"


class AnswerKnown(Conflict):
    """The same Idempotency-Key came with another content."""

    code = "http.key_conflict"
    message = "the Idempotency-Key {key!r} was used for another request"


class Unready(Conflict):
    """It cannot be answered now, and can soon."""

    code = "http.unready"
    http = 503
    message = "{why}; come again in {seconds} s"


class PortTaken(Conflict):
    """Somebody listens there."""

    code = "serve.port_taken"
    message = "cannot listen on {host} port {port}: {why}"
    hint = "rt serve --port {other}"


class ServedAlready(Conflict):
    """Another process serves this home."""

    code = "serve.running"
    message = "this home is served already, by process {pid} on {address}"
    hint = "rt token link"


class NotServed(NotFound):
    """Nobody serves this home."""

    code = "serve.not_running"
    message = "nobody serves this home"
    hint = "rt serve"


class TokenUnknown(NotFound):
    """No token of that name."""

    code = "token.not_found"
    message = "there is no token {name!r}; there are: {known}"
    hint = "rt token list"


class TokenExists(Conflict):
    """The name is taken."""

    code = "token.exists"
    message = "there is a token {name!r} already"
    hint = "rt token revoke {name}"


class ArtifactNotFound(NotFound):
    """Nothing that can be read is at this path beneath the artifacts."""

    code = "artifact.not_found"
    message = "no artifact at {path!r}: {why}"


class SnapshotNotFound(NotFound):
    """No snapshot of that name."""

    code = "snapshot.not_found"
    message = "there is no snapshot {name!r}"
    hint = "rt snapshot"
