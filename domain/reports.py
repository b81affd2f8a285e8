"""What a coding agent tells of its work while it works, line by line: each line that means something is an event.

A pure function of the output that lies in the log, so that a replay tells the same.
"""

from collections.abc import Callable

from domain.bounds import REPORT_LINE_BYTES_MAX, REPORTS_MAX
from domain.brief import Brief
from domain.cli_answers import Line, claude_line, codex_line
from domain.events import AgentReported, OutputAppended
from domain.ids import text_of
from domain.launch import AgentCli
from domain.run_state import Run


def are_read(cli: AgentCli | None) -> bool:
    """Whether the lines that this agent prints are told as they come."""
    if cli is None:
        return False
    return cli.driver == "codex" or (cli.driver == "claude-code" and cli.stream) or cli.answer == "stream-json"


def rest(run: Run, data: OutputAppended, body: bytes | None) -> bytes:
    """The unfinished line after this output. One that is too long keeps as much as shows that it is."""
    if data.stream != "stdout" or run.brief is None or not run.brief.reports:
        return run.line_rest
    return _split(run, body)[1]


def reported(run: Run, data: OutputAppended, body: bytes | None) -> tuple[tuple[AgentReported, ...], tuple[bytes, ...]]:
    """What the lines that this output finishes tell, on the state before it, and the texts of that."""
    if data.stream != "stdout" or run.brief is None or not run.brief.reports:
        return (), ()
    events: list[AgentReported] = []
    texts: list[bytes] = []
    for line in map(_reader(run.brief), _split(run, body)[0]):
        if line.kind == "other" or run.reports + len(events) >= REPORTS_MAX:
            continue
        text = line.text.encode("utf-8", "replace")
        events.append(AgentReported(call=data.call, kind=line.kind, text=text_of(text) if text else None))
        texts += [text] if text else []
    return tuple(events), tuple(texts)


def _split(run: Run, body: bytes | None) -> tuple[list[bytes], bytes]:
    *lines, last = (run.line_rest + (body or b"")).split(b"\n")
    return lines, last[: REPORT_LINE_BYTES_MAX + 1]


def _reader(brief: Brief) -> Callable[[bytes], Line]:
    return codex_line if brief.cli is not None and brief.cli.driver == "codex" else claude_line
