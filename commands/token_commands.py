"""Commands about tokens: who may come in over HTTP, and how far."""

import re
from typing import Annotated

import typer

from adapters.tokens import Tokens
from commands import options, render
from commands.api.route import LEVELS
from commands.invocation import invocation
from commands.serving import link_code, served_at
from domain import errors
from domain.bounds import SESSION_CODE_S

app = typer.Typer(no_args_is_help=True)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SCOPES = (*LEVELS, "sql")


@app.command("new", help="Make a token; it is printed once, and only its digest is kept.")
def new(
    scope: Annotated[
        list[str], typer.Option("--scope", help="How far: read < approve < operate < admin; sql apart. Repeatable.")
    ],
    name: Annotated[str, typer.Option("--name", help="Recorded as the actor of what is done with it.")] = "",
    as_json: options.Json = False,
) -> None:
    """Make a token."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    named = name or f"{scope[0]}-{runtime.ids.new()[:8]}"
    if not _NAME.fullmatch(named):
        raise errors.Invalid(where="--name", why="expected 1 to 64 letters, digits, . _ -, not beginning with a sign")
    unknown = next((each for each in scope if each not in _SCOPES), None)
    if unknown is not None:
        raise errors.Invalid(where="--scope", why=f"{unknown!r} is none of: {', '.join(_SCOPES)}")
    scopes = tuple(sorted(set(scope)))
    secret = Tokens(runtime.home.state).add(named, scopes, runtime.clock.now_us())
    if as_json:
        render.document("rt.token.v1", {"name": named, "scopes": scopes, "token": secret})
        return
    render.out(secret)
    render.note(f"token {named} ({', '.join(scopes)}); it is not shown again. Send it as: Authorization: Bearer …")


@app.command("list", help="The tokens that are known, without their secrets.")
def list_tokens(as_json: options.Json = False) -> None:
    """List tokens."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    book = Tokens(runtime.home.state).book()
    found = [
        {"name": each.name, "scopes": list(each.scopes), "created_at": render.moment_us(each.created_us)}
        for each in book.tokens
    ]
    if as_json:
        render.documents("rt.token.v1", found, position=0)
        return
    rows = [(each["name"], ", ".join(each["scopes"]), str(each["created_at"])[:19]) for each in found]
    render.table(("token", "scopes", "created"), rows)


@app.command("revoke", help="Let nobody in with a token any more; streams that are open end within seconds.")
def revoke(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Which one.")] = "",
    sessions: Annotated[bool, typer.Option("--sessions", help="Log every browser out.")] = False,
    as_json: options.Json = False,
) -> None:
    """Revoke a token."""
    options.no_tail()
    if bool(name) == sessions:
        raise errors.Invalid(where="NAME", why="name a token, or give --sessions")
    runtime = invocation.runtime(create=True)
    tokens = Tokens(runtime.home.state)
    if name:
        tokens.revoke(name)
    else:
        tokens.end_sessions(runtime.clock.now_us())
    if as_json:
        render.document("rt.token.v1", {"revoked": name or "sessions"})
    else:
        render.out(f"revoked: {f'token {name}' if name else 'all sessions of browsers'}")


@app.command("link", help="A link that logs a browser in at the server of this home, once.")
def link(as_json: options.Json = False) -> None:
    """Make a link."""
    options.no_tail()
    runtime = invocation.runtime()
    url = served_at(runtime)
    made = f"{url}/#code={link_code(runtime)}"
    if as_json:
        render.document("rt.link.v1", {"link": made, "url": url})
        return
    render.out(made)
    render.note(f"it opens one session, within {SESSION_CODE_S} s")
