"""From a wish for a call to the call: schema, policy, approval, request. The only way, whoever wishes."""

import difflib

import msgspec

from domain import calls, mind, policies, tools
from domain.agent_events import ApprovalRequested, BudgetReached, CallRefused
from domain.events import CancelRequested, ToolCallRequested
from domain.mind import Approval, Lost, Mind
from domain.plan import Plan
from domain.policies import Origin
from domain.run_state import Run
from domain.setup import Tool, Wanted


def call(plan: Plan, wanted: Wanted, origin: Origin) -> None:
    """Carry a wish as far as it may go."""
    if plan.mind.finishing is not None:
        return
    known = plan.mind
    ordinal = known.calls + 1
    tool = known.setup.tool(wanted.tool)
    if tool is None:
        names = [each.name for each in known.setup.tools]
        near = difflib.get_close_matches(wanted.tool, names, 1)
        reason = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)[:200]}"
        plan.add(CallRefused(call=ordinal, tool=wanted.tool[:100], cause="unknown_tool", reason=reason))
        return
    try:
        arguments = tools.canonical(tool, wanted.input)
    except tools.WrongInput as problem:
        plan.add(CallRefused(call=ordinal, tool=tool.name, cause="wrong_input", reason=str(problem)))
        return
    _check(plan, ordinal, tool, arguments, origin)


def _check(plan: Plan, ordinal: int, tool: Tool, arguments: bytes, origin: Origin) -> None:
    known = plan.mind
    limit = known.setup.budgets.tool_calls
    if limit and known.tool_calls >= limit:
        plan.add(BudgetReached(budget="tool_calls", limit=limit, used=known.tool_calls))
        return
    verdict = policies.evaluate(known.book, _wish(plan, tool, arguments, origin))
    if verdict.effect != "deny" and tool.kind == "mcp":
        verdict = policies.Verdict(effect="deny", rules=("tool",), reason="nothing here can call a discovered tool yet")
    if verdict.effect == "deny":
        _denied(plan, ordinal, tool, verdict)
    elif verdict.effect == "ask" or tool.kind == "ask-person":
        _request(plan, ordinal, tool, arguments, verdict)
    else:
        start(plan, ordinal, tool, arguments)


def _wish(plan: Plan, tool: Tool, arguments: bytes, origin: Origin) -> policies.Wish:
    return policies.Wish(
        tool=tool,
        arguments=msgspec.json.decode(arguments),
        profile=plan.mind.setup.profile,
        origin=origin,
        cost_nusd=plan.mind.cost_nusd,
        at_us=plan.at_us,
    )


def _denied(plan: Plan, ordinal: int, tool: Tool, verdict: policies.Verdict) -> None:
    plan.add(
        CallRefused(
            call=ordinal,
            tool=tool.name,
            cause="denied",
            reason=verdict.reason or "the policy says no",
            rules=verdict.rules,
        )
    )


def _request(plan: Plan, ordinal: int, tool: Tool, arguments: bytes, verdict: policies.Verdict) -> None:
    plan.add(
        ApprovalRequested(
            call=ordinal,
            tool=tool.name,
            arguments=plan.text(arguments),
            digest=digest(plan.mind, tool, arguments),
            policy=policies.digest_of(plan.mind.book),
            rules=verdict.rules,
            kind="question" if tool.kind == "ask-person" else "approval",
            expires_at_us=plan.at_us + verdict.expires_us if verdict.expires_us else 0,
            on_expire=verdict.on_expire,
            on_reject=verdict.on_reject,
        )
    )


def digest(known: Mind, tool: Tool, arguments: bytes) -> str:
    """What an approval of this call is bound to, under the policy of this moment."""
    setup = known.setup
    return policies.action_digest(
        tool=tool.name,
        arguments=arguments,
        profile=setup.profile,
        cwd=tool.cwd or setup.cwd,
        policy=policies.digest_of(known.book),
    )


def start(plan: Plan, ordinal: int, tool: Tool, arguments: bytes, repeats: int = 0) -> None:
    """Ask for the effect itself."""
    described = tools.describe(plan.mind.setup, tool, arguments)
    assert described is not None, "a question starts nothing"
    plan.add(
        ToolCallRequested(
            call=ordinal,
            tool=tool.name,
            input=plan.text(calls.encoded(described)),
            effect=tool.effect,
            kind=tools.KINDS[type(described)],
            timeout_us=tool.timeout_us,
            repeats=repeats,
            digest=digest(plan.mind, tool, arguments),
        )
    )


def take_up(plan: Plan) -> None:
    """Act on what people said and on what was lost, by the policy of this moment."""
    for lost in plan.mind.lost:
        _take_up_lost(plan, lost)
    for approval in plan.mind.approvals:
        if approval.verdict:
            _take_up_answer(plan, approval)


def _take_up_lost(plan: Plan, lost: Lost) -> None:
    """Do it again under the same effect key, unless it happened or is denied by now."""
    known = plan.mind
    about = mind.watched(known, lost.call)
    tool = known.setup.tool(about.tool) if about else None
    if lost.happened == "yes" or tool is None or about is None:
        note = lost.note or "a person found that it happened"
        reason = "" if tool is not None else "the tool is gone"
        plan.add(
            CallRefused(call=lost.call, tool=about.tool if about else "", cause="lost", reason=reason or note[:300])
        )
        return
    arguments = tools.canonical(tool, about.arguments)
    verdict = policies.evaluate(known.book, _wish(plan, tool, arguments, about.origin))
    asked = next((each.digest for each in plan.run.calls if each.ordinal == lost.call), "")
    if verdict.effect == "deny":
        _denied(plan, lost.call, tool, verdict)
    elif verdict.effect == "ask" and digest(known, tool, arguments) != asked:  # nobody said yes under this policy
        _request(plan, lost.call, tool, arguments, verdict)
    else:
        start(plan, known.calls + 1, tool, arguments, repeats=lost.original)


def _take_up_answer(plan: Plan, approval: Approval) -> None:
    known = plan.mind
    tool = known.setup.tool(approval.tool)
    about = mind.watched(known, approval.call)
    if approval.verdict == "rejected":
        plan.add(CallRefused(call=approval.call, tool=approval.tool, cause="rejected"))
        return
    if approval.verdict == "expired":
        plan.add(CallRefused(call=approval.call, tool=approval.tool, cause="expired"))
        return
    if tool is None or about is None:
        plan.add(CallRefused(call=approval.call, tool=approval.tool, cause="unknown_tool"))
        return
    arguments = approval.edited or tools.canonical(tool, about.arguments)
    verdict = policies.evaluate(known.book, _wish(plan, tool, arguments, about.origin))
    bound = digest(known, tool, arguments)
    if verdict.effect == "deny":
        _denied(plan, approval.call, tool, verdict)
    elif verdict.effect == "ask" and bound != approval.digest:  # another policy asks by now: a new yes is needed
        _request(plan, approval.call, tool, arguments, verdict)
    else:
        start(plan, approval.call, tool, arguments)


def named(run: Run, wanted: str) -> tuple[int, ...]:
    """The open calls that a cancel names: one, or all."""
    if wanted == "all":
        return tuple(each.ordinal for each in run.open_calls)
    text = wanted.removeprefix(f"{run.run}-").removeprefix("c")
    return tuple(each.ordinal for each in run.open_calls if str(each.ordinal) == text)


def cancel(plan: Plan, wanted: str, calls: tuple[int, ...]) -> None:
    """End these calls; what names none is refused."""
    if not calls:
        plan.add(CallRefused(call=0, tool="", cause="unknown_call", reason=f"no open call {wanted[:60]!r}"))
    for each in plan.run.open_calls:
        if each.ordinal in calls and not each.cancel:
            plan.add(CancelRequested(call=each.ordinal, cause="controller"))
