"""A summary of the messages that a history leaves out: asked for once, before the first decision, and recorded."""

from domain import asking, spending
from domain.agent_events import ControllerAsked, HistorySummarized
from domain.plan import Plan


def ask(plan: Plan) -> None:
    """Ask once for a summary of what the history leaves out; where there is no budget for it, it is left out."""
    known = plan.mind
    controller = known.setup.summarizer
    assert controller is not None, "somebody is to be asked"
    model = controller.model
    request = asking.summary_request(known.setup, controller)
    tokens, nusd = spending.reserve(model, len(request))
    if spending.reached(known, asking=True, tokens=tokens, nusd=nusd, model=model) is not None:
        left_out = known.setup.history_left_out
        plan.add(HistorySummarized(ask=0, messages=left_out, model=controller.name, refused="budget"))
        return
    plan.add(
        ControllerAsked(
            ask=known.calls + 1,
            controller=controller.name,
            path="slow",
            triggers=("summary",),
            window=known.window,
            request=plan.text(request),
            attempt=1,
            reserved_tokens=tokens,
            reserved_nusd=nusd,
            purpose="summary",
        )
    )


def record(plan: Plan) -> None:
    """The answer, or that there is none, becomes what the history says of what it leaves out."""
    known = plan.mind
    question, answer = known.question, known.answer
    assert question is not None, "an answer belongs to a question"
    assert answer is not None, "an answer came"
    model = known.asked.model
    plan.add(
        HistorySummarized(
            ask=question.ask,
            messages=known.setup.history_left_out,
            model=answer.model or (model.name if model else ""),
            answer=answer.text,
            refused="" if answer.said else answer.cause or answer.read.refused or "empty",
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            latency_us=answer.latency_us,
            cost_nusd=spending.cost_nusd(model.prices if model else None, answer.tokens_in, answer.tokens_out),
            prices=model.prices.version if model and model.prices else "",
        )
    )
