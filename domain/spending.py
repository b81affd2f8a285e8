"""What a run spends: reserved before an ask, settled after it, compared with its budgets. Integers only."""

import msgspec

from domain.agent_events import BudgetReached
from domain.mind import Answer, Mind, Question
from domain.setup import Model, Prices

_BYTES_A_TOKEN = 3  # fewer than in any common text, so that a reservation is rather too large


def cost_nusd(prices: Prices | None, tokens_in: int | None, tokens_out: int | None) -> int | None:
    """The cost in billionths of a dollar; None where prices or tokens are not known."""
    if prices is None or tokens_in is None or tokens_out is None:
        return None
    return (tokens_in * prices.in_musd + tokens_out * prices.out_musd) // 1000


def reserve(model: Model | None, request_bytes: int) -> tuple[int, int]:
    """Tokens and cost that one ask may take at most."""
    if model is None:
        return 0, 0
    tokens_in = request_bytes // _BYTES_A_TOKEN + 1
    return tokens_in + model.tokens_max, cost_nusd(model.prices, tokens_in, model.tokens_max) or 0


def answered_spending(mind: Mind, question: Question, answer: Answer) -> Mind:
    """Replace what was reserved by what was used; what is not said stays as it was reserved."""
    model = mind.asked.model
    tokens = question.reserved_tokens
    if answer.tokens_in is not None and answer.tokens_out is not None:
        tokens = answer.tokens_in + answer.tokens_out
    cost = cost_nusd(model.prices if model else None, answer.tokens_in, answer.tokens_out)
    settled = question.reserved_nusd if cost is None else cost
    return msgspec.structs.replace(
        mind,
        tokens=mind.tokens - question.reserved_tokens + tokens,
        cost_nusd=mind.cost_nusd - question.reserved_nusd + settled,
    )


def reached(
    mind: Mind, *, asking: bool, tokens: int = 0, nusd: int = 0, model: Model | None = None
) -> BudgetReached | None:
    """The budget that the next decision would pass; with `asking`, what it reserves counts too."""
    budgets = mind.setup.budgets
    if budgets.decisions and mind.decisions >= budgets.decisions:
        return BudgetReached(budget="decisions", limit=budgets.decisions, used=mind.decisions)
    if budgets.errors and mind.errors >= budgets.errors:
        return BudgetReached(budget="errors", limit=budgets.errors, used=mind.errors)
    if budgets.stuck and mind.repeats >= budgets.stuck:
        return BudgetReached(budget="stuck", limit=budgets.stuck, used=mind.repeats)
    if asking and budgets.tokens and mind.tokens + tokens > budgets.tokens:
        return BudgetReached(budget="tokens", limit=budgets.tokens, used=mind.tokens)
    model = model or mind.controller.model
    unknown = model is None or model.prices is None  # then nobody could tell when the limit is passed
    if asking and budgets.cost_nusd and (unknown or mind.cost_nusd + nusd > budgets.cost_nusd):
        return BudgetReached(budget="cost", limit=budgets.cost_nusd, used=mind.cost_nusd)
    return None


def remaining(mind: Mind, at_us: int) -> dict[str, int | None]:
    """What is left, as a controller is told."""
    budgets = mind.setup.budgets
    active_us = mind.active_us + max(0, at_us - mind.since_us)
    return {
        "decisions": budgets.decisions - mind.decisions if budgets.decisions else None,
        "tool_calls": budgets.tool_calls - mind.tool_calls if budgets.tool_calls else None,
        "tokens": budgets.tokens - mind.tokens if budgets.tokens else None,
        "cost_nusd": budgets.cost_nusd - mind.cost_nusd if budgets.cost_nusd else None,
        "seconds": (budgets.wall_us - active_us) // 1_000_000 if budgets.wall_us else None,
    }
