"""Quiet-STaR's interpolation of two next-token distributions of which only a part is known.

Only the most probable tokens of each are known. :mod:`thinking.sampler.kept_logits` mixes all
logits in the sampler; this module mixes those that are in both lists, and treats all other tokens
as a single outcome. Does not know where the distributions come from.
"""

from collections.abc import Mapping, Sequence
from math import exp, inf, log

from server.engine.protocol import TokenLogprobs


def mix_logprobs(
    token_id: int, without: TokenLogprobs, with_thought: TokenLogprobs, weight: float
) -> float:
    """Return the natural-log probability of `token_id`, the sampled token of both, in the mixture.

    `weight` is that of the log-probabilities after the thought (arXiv 2403.09629, section 4.4): the
    mixture is p^weight q^(1-weight), renormalised. The result is exact for weights 0 and 1, and if
    the tokens that are not in both lists are negligible. Otherwise it is too low, never too high:
    by Hölder's inequality, one outcome in place of many can only make the norm larger.
    """
    before, after = _get_known(without), _get_known(with_thought)
    if weight == 0:
        return before[token_id]
    if weight == 1:
        return after[token_id]
    shared = before.keys() & after.keys()
    terms = {key: weight * after[key] + (1 - weight) * before[key] for key in shared}
    rest = weight * _compute_log_rest(after, shared) + (1 - weight) * _compute_log_rest(
        before, shared
    )
    return terms[token_id] - _compute_logsumexp([*terms.values(), rest])


def _get_known(entry: TokenLogprobs) -> Mapping[int, float]:
    return {token.token_id: token.logprob for token in (*entry.top, entry.sampled)}


def _compute_log_rest(known: Mapping[int, float], shared: set[int]) -> float:
    """Return the log of the probability of all tokens except the `shared` ones."""
    rest = 1.0 - sum(exp(known[key]) for key in shared)
    return log(rest) if rest > 0 else -inf


def _compute_logsumexp(values: Sequence[float]) -> float:
    peak = max(values)
    if peak == -inf:
        return 0.0  # all terms are impossible, and so is the token
    return peak + log(sum(exp(value - peak) for value in values))
