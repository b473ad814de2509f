"""Top-k and top-p without sorting the vocabulary.

The kept set is that of ``apply_top_k_top_p_pytorch`` in vLLM 0.32
(``vllm/v1/sample/ops/topk_topp_sampler.py``), which sorts all words of all rows: on a CPU the sort
takes longer than the step of a small model. Top-p: Holtzman et al., 2020,
https://arxiv.org/abs/1904.09751.
"""

from dataclasses import dataclass

import torch

from thinking.sampler.constraints import NEG_INF

FLOORS = (1e-3, 1e-4, 1e-5)  # of probabilities, tried in turn: the fewer are sorted the better


@dataclass(frozen=True, slots=True)
class Nucleus:
    """Limits of one row: the `top_k` likeliest tokens (0: all), and of them the fewest that have a
    probability of `top_p` together."""

    top_k: int = 0
    top_p: float = 1.0

    @property
    def keeps_all(self) -> bool:
        """True if the limits exclude no token."""
        return self.top_k <= 0 and self.top_p >= 1.0


def keep_nucleus(logits: torch.Tensor, nucleus: Nucleus) -> None:
    """Set the logits of all tokens outside the nucleus to minus infinity, in place.

    Args:
        logits: of one row, float32 ``[vocab]``, already divided by the temperature.
        nucleus: the limits. Tokens as likely as the last of `top_k` are all kept.
    """
    vocab_size = logits.shape[0]
    if 0 < nucleus.top_k < vocab_size:
        least = logits.topk(nucleus.top_k).values[-1]
        logits.masked_fill_(logits < least, NEG_INF)
    if nucleus.top_p < 1.0:
        _keep_top_p(logits, nucleus.top_p)


def _keep_top_p(logits: torch.Tensor, top_p: float) -> None:
    probabilities = logits.softmax(dim=-1)
    places = _find_candidates(probabilities, top_p)
    ordered, order = probabilities[places].sort(descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    num_kept = max(1, int((before < top_p).sum()))
    kept = places[order[:num_kept]]
    values = logits[kept]
    logits.fill_(NEG_INF)
    logits[kept] = values


def _find_candidates(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Return places of likely tokens, int64, among which the nucleus is; mostly a few hundred."""
    for floor in FLOORS:
        places = (probabilities > floor).nonzero().squeeze(-1)
        if float(probabilities[places].sum()) > top_p:
            return places
    # Tokens below this floor have less than 1 - top_p together, however many they are.
    return (probabilities > (1.0 - top_p) / len(probabilities)).nonzero().squeeze(-1)
