"""The controller program: goal, decision, tools, output, decision again. Also the chat program, which asks less often.

`decide` says what follows from a fact; `_go_on` takes the next step where nothing stands in its way.
"""

from typing import Literal

from domain import acting, asking, mind, policies, rules, spending, summary
from domain.agent_events import (
    ApprovalClosed,
    BudgetReached,
    CallApproved,
    CallEdited,
    CallRejected,
    CallSettled,
    ControllerAnswered,
    ControllerAsked,
    ControllerReplaced,
    DecisionMade,
    RunDenied,
    RunResumed,
)
from domain.bounds import DECISIONS_AT_ONCE_MAX
from domain.config import AGENT
from domain.decided import line_of
from domain.decisions import Ask, CancelRun, Decision, Finish, ToolCalls, Wait
from domain.ending import Ending
from domain.events import (
    CancelRequested,
    RunCancelAsked,
    RunOwnerLost,
    RunRefused,
    TaskParked,
    TaskResumed,
    TimerFired,
    ToolNotStarted,
)
from domain.mind import Trigger
from domain.outcome import Outcome, encode
from domain.payload import Fact
from domain.plan import Plan
from domain.setup import Rule, Wanted

Named = Literal["wait", "tool", "cancel", "finish", "ask", "none"]


def decide(plan: Plan, fact: Fact) -> None:  # noqa: C901  # one arm a fact
    """What follows from a fact, on the state that already contains it."""
    match fact:
        case RunRefused():
            permanent = fact.cause == "adapter_not_found"
            plan.end(Ending(state="failed", retry="permanent", cause=fact.cause, blocked=not permanent))
            return
        case CallApproved() | CallEdited() | CallRejected():
            if plan.run.parked:
                _resume(plan, "answered")
            return  # else the dispatcher that drives the run says when it goes on, and by which policy
        case CallSettled():
            if plan.run.parked:
                _resume(plan, "settled")
            return
        case RunOwnerLost():
            _lost(plan)
            return
        case RunResumed():
            _take_up(plan)
        case TimerFired():
            _timer(plan, fact)
        case RunCancelAsked() if plan.run.parked:
            _end(plan)
            return
        case ControllerAnswered():
            _heard(plan)
        case _:
            pass
    _go_on(plan)


def _take_up(plan: Plan) -> None:
    """Go on by the policy of this moment, which may deny the run as a whole: then it ends."""
    known = plan.mind
    setup = known.setup
    wish = policies.RunWish(profile=setup.profile, adapter=AGENT, kind=setup.kind, source=setup.source)
    verdict = policies.admits(known.book, wish)
    if verdict.effect != "deny":
        acting.take_up(plan)
        return
    if known.finishing is None:
        plan.add(RunDenied(policy=policies.digest_of(known.book), rules=verdict.rules, reason=verdict.reason))
    _withdraw(plan)


def _resume(plan: Plan, cause: str) -> None:
    """Go on, unless it is not known whether something happened: that comes first."""
    if plan.run.status.value != "resuming" and not mind.unknown(plan.mind):
        plan.add(TaskResumed(run=plan.run.run, cause=cause))


def _lost(plan: Plan) -> None:
    """The dispatcher is gone: the run goes on with another one, waits for a person, or ends."""
    known = plan.mind
    if known.finishing is not None:
        _end(plan)
        return
    limit = known.setup.budgets.recoveries
    if mind.unknown(known):
        plan.add(TaskParked(run=plan.run.run, status="blocked", cause="needs_reconcile"))
    elif limit and known.recoveries > limit:
        plan.add(BudgetReached(budget="recoveries", limit=limit, used=known.recoveries))
        _withdraw(plan)
        _end(plan)
    else:
        _resume(plan, "dispatcher_lost")


def _heard(plan: Plan) -> None:
    """An answer came, while somebody waits for it."""
    question = plan.mind.question
    if question is None or plan.mind.answer is None or plan.mind.finishing is not None:
        return
    if question.purpose == "summary":
        summary.record(plan)
    else:
        _answered(plan)


def _timer(plan: Plan, fact: TimerFired) -> None:
    kind, _, call = fact.timer.partition(":")
    if kind == "timeout":
        for each in plan.run.open_calls:
            if each.ordinal == int(call) and not each.cancel:
                plan.add(CancelRequested(call=each.ordinal, cause="timeout"))
    elif kind == "wall" and plan.mind.finishing is None:
        limit = plan.mind.setup.budgets.wall_us // 1_000_000
        plan.add(BudgetReached(budget="wall", limit=limit, used=limit))
    elif kind == "approval":
        waiting = mind.approval(plan.mind, int(call))
        if waiting is None or waiting.verdict:
            return
        plan.add(ApprovalClosed(call=waiting.call, how="expired"))
        if plan.run.parked:
            _resume(plan, "expired")
        else:
            acting.take_up(plan)


def _go_on(plan: Plan) -> None:
    """Ask or decide, again and again, until the run ends, waits for something, or was handed to a person."""
    decisions = plan.mind.decisions
    while not plan.run.ended and not plan.run.parked:
        known = plan.mind
        if known.finishing is not None:
            _wind_up(plan)
            return
        if known.question is not None or known.retry_at_us or not known.resumed:
            return
        if known.setup.program == "chat" or not known.waiting:
            if _is_going_on(plan):
                return
            if mind.pending(known):
                _park(plan)
                return
        if (
            known.decisions - decisions >= DECISIONS_AT_ONCE_MAX
        ):  # a table that goes in circles, and no budget that ends it
            plan.add(BudgetReached(budget="stuck", limit=DECISIONS_AT_ONCE_MAX, used=DECISIONS_AT_ONCE_MAX))
        else:
            _step(plan)


def _step(plan: Plan) -> None:
    """One decision, by whoever makes it."""
    known = plan.mind
    controller = known.controller
    if known.summary is None and known.setup.summarizer is not None:
        summary.ask(plan)
    elif controller.kind == "rules":
        _rule(plan, "rules")
    elif known.attempt <= controller.retries:
        _ask(plan)
    elif known.replaced < len(known.setup.spares):
        by = known.setup.spares[known.replaced].name
        plan.add(ControllerReplaced(controller=controller.name, by=by, errors=known.errors))
    else:
        _fall_back(plan)


def _is_going_on(plan: Plan) -> bool:
    return bool(plan.run.open_calls) or plan.mind.until_us > plan.at_us


def _park(plan: Plan) -> None:
    due = min((each.expires_at_us for each in mind.pending(plan.mind) if each.expires_at_us), default=0)
    plan.add(TaskParked(run=plan.run.run, status="waiting_for_approval", cause="approval", due_at_us=due))


def _triggers(plan: Plan) -> tuple[Trigger, ...]:
    return plan.mind.waiting or (Trigger("idle"),)


def _is_fast(plan: Plan, triggers: tuple[Trigger, ...]) -> bool:
    """Urgency survives whatever else came; with nothing left running there is nothing to be fast about."""
    return bool(plan.run.open_calls) and rules.is_fast(triggers)


def _ask(plan: Plan) -> None:
    known = plan.mind
    triggers = _triggers(plan)
    controller = known.controller
    fast = controller.fast and known.setup.program == "controller" and _is_fast(plan, triggers)
    path: Literal["slow", "fast"] = "fast" if fast else "slow"
    request = asking.request(plan.run, known, path, triggers, plan.at_us)
    tokens, nusd = spending.reserve(controller.model, len(request))
    if (reached := spending.reached(known, asking=True, tokens=tokens, nusd=nusd)) is not None:
        plan.add(reached)
        return
    plan.add(
        ControllerAsked(
            ask=known.calls + 1,
            controller=controller.name,
            path=path,
            triggers=tuple(trigger.name for trigger in triggers),
            window=known.window,
            request=plan.text(request),
            attempt=known.attempt + 1,
            reserved_tokens=tokens,
            reserved_nusd=nusd,
        )
    )


def _answered(plan: Plan) -> None:
    """An answer became a decision, or is recorded as none."""
    known = plan.mind
    question, answer = known.question, known.answer
    assert question is not None, "an answer belongs to a question"
    assert answer is not None, "an answer came"
    decision = answer.read.decision
    name, wanted = _name(decision), _wanted(decision)
    cancels = acting.named(plan.run, decision.wanted) if isinstance(decision, CancelRun) else ()
    model = known.controller.model
    plan.add(
        DecisionMade(
            number=known.decisions + 1,
            decision=name,
            path=question.path,
            controller=known.controller.name,
            triggers=tuple(trigger.name for trigger in question.triggers),
            window=question.window,
            ask=question.ask,
            request=question.request,
            answer=answer.text,
            refused=answer.read.refused,
            ignored=answer.read.ignored,
            calls=cancels or tuple(range(known.calls + 1, known.calls + 1 + len(wanted))),
            model=answer.model or (model.name if model else ""),
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            latency_us=answer.latency_us,
            cost_nusd=spending.cost_nusd(model.prices if model else None, answer.tokens_in, answer.tokens_out),
            prices=model.prices.version if model and model.prices else "",
        )
    )
    if isinstance(decision, CancelRun):
        acting.cancel(plan, decision.wanted, cancels)
    for each in wanted:
        acting.call(plan, each, "controller")


def _rule(plan: Plan, controller: str) -> None:
    """A decision by the table; where no rule speaks, wait."""
    known = plan.mind
    if (reached := spending.reached(known, asking=False)) is not None:
        plan.add(reached)
        return
    triggers = _triggers(plan)
    rule = rules.answer(known, triggers)
    wanted = _asked_for(plan, rule)
    cancels = tuple(each.ordinal for each in plan.run.open_calls) if rule and rule.then == "cancel" else ()
    plan.add(
        DecisionMade(
            number=known.decisions + 1,
            decision=rule.then if rule else "wait",
            path="fast" if _is_fast(plan, triggers) and (rule is None or rule.then not in ("tool", "ask")) else "slow",
            controller=f"{controller}:{rules.VERSION}",
            triggers=tuple(trigger.name for trigger in triggers),
            window=known.window,
            rule=rule.id if rule else "",
            calls=cancels or tuple(range(known.calls + 1, known.calls + 1 + len(wanted))),
        )
    )
    if rule is not None and rule.then == "cancel":
        acting.cancel(plan, "all", cancels)
    origin: Literal["task", "controller"] = "controller" if rule is not None and rule.calls else "task"
    for each in wanted:
        acting.call(plan, each, origin)


def _asked_for(plan: Plan, rule: Rule | None) -> tuple[Wanted, ...]:
    if rule is None:
        return ()
    if rule.then == "ask":
        return (Wanted("ask-person", {"question": rule.message or "go on?"}),)
    return (rule.calls or plan.mind.setup.calls) if rule.then == "tool" else ()


def _fall_back(plan: Plan) -> None:
    """The controller did not answer: the table decides, where it has something to say; else the run ends."""
    known = plan.mind
    rule = rules.answer(known, known.waiting)
    speaks = rule is not None or bool(plan.run.open_calls)
    if rule is not None and rule.when.startswith("exit") and rule.outcome == "completed" and not known.setup.calls:
        speaks = False  # that a process ended well does not make a goal in words reached
    errors = known.setup.budgets.errors
    if known.controller.fallback and speaks and (not errors or known.errors < errors):
        _rule(plan, "fallback")
    else:
        plan.add(BudgetReached(budget="errors", limit=known.controller.retries + 1, used=known.errors))


def _name(decision: Decision | None) -> Named:
    match decision:
        case None:
            return "none"
        case Wait():
            return "wait"
        case ToolCalls():
            return "tool"
        case CancelRun():
            return "cancel"
        case Finish():
            return "finish"
        case Ask():
            return "ask"


def _wanted(decision: Decision | None) -> tuple[Wanted, ...]:
    match decision:
        case ToolCalls():
            return decision.calls
        case Ask():
            return (Wanted("ask-person", {"question": decision.question}),)
        case _:
            return ()


def _withdraw(plan: Plan) -> None:
    for each in mind.pending(plan.mind):
        plan.add(ApprovalClosed(call=each.call, how="withdrawn"))


def _wind_up(plan: Plan) -> None:
    """End the open calls and the open question, and when they have ended, the run."""
    finishing = plan.mind.finishing
    assert finishing is not None, "somebody wants the run to end"
    _withdraw(plan)
    cause: Literal["operator", "finish"] = "operator" if finishing.outcome == "canceled" else "finish"
    for each in plan.run.open_calls:
        if not each.cancel or (cause == "operator" and each.cancel != "operator"):
            plan.add(CancelRequested(call=each.ordinal, cause=cause))
    if not plan.run.open_calls and plan.mind.question is None:
        _end(plan)


def _end(plan: Plan) -> None:
    finishing = plan.mind.finishing
    assert finishing is not None, "somebody wants the run to end"
    _withdraw(plan)
    if finishing.outcome == "canceled":
        plan.end(Ending(state="canceled", cause="operator"))
        return
    again = finishing.retryable and all(call.effect != "once" for call in plan.run.calls)  # else a person decides
    blocked = finishing.outcome == "blocked" or (finishing.retryable and not again)
    status = "completed" if finishing.outcome == "completed" else "blocked" if blocked else "permanent_failure"
    outcome = Outcome(
        status="retryable_failure" if again else status,  # type: ignore[arg-type]  # a verdict
        operator_summary=finishing.message.replace("{line}", line_of(plan.mind, finishing.triggers))
        if finishing.triggers
        else finishing.message,
        status_source="controller",
        artifact_paths=finishing.evidence,
        warnings=tuple(f"remote_state: unknown for c{call}" for call in plan.mind.remote_unknown),
    )
    plan.end(
        Ending(
            state="completed" if finishing.outcome == "completed" else "failed",
            retry="none" if finishing.outcome != "failed" or blocked else "retryable" if again else "permanent",
            cause="" if finishing.outcome == "completed" else finishing.cause,
            blocked=blocked,
            outcome=encode(outcome),
        )
    )


__all__ = ["ToolNotStarted", "decide"]
