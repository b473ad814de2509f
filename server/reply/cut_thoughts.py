"""Opens the sealed thought that a request goes on from, and seals what its own choices thought.

Sealing needs no permission to see thoughts: the client cannot read a seal. Does not know how a
thought goes on.
"""

from collections.abc import Sequence

from server.account.account import RequestAccount
from server.choice.thought_sealing import ThoughtSealing
from server.errors.api import BadRequestError
from server.keys.sealed_thoughts import SealError
from server.model.earlier_thought import FIELD
from server.prompt.cut_thought import CutThought, ThoughtOrigin
from server.reply.request import ReplyRequest
from server.state import Services
from thinking.earlier_thought import KeptThought
from thinking.kind import ThoughtKind
from thinking.receipt import Receipt


def open_earlier_thought(
    services: Services, account: RequestAccount, request: ReplyRequest
) -> CutThought | None:
    """Return the thought that `request` goes on from; None: it begins its own.

    Raises:
        BadRequestError: the seal was changed, is another key's, or of another kind.
    """
    sealed = request.thinking.sealed_thought
    if sealed is None:
        return None
    try:
        return services.seal.of(account.key.key_id).open_cut(sealed)
    except SealError as error:
        raise BadRequestError(
            f"{FIELD}: {error}; send thinking.sealed of a reply unchanged, with the key that the "
            "reply was for",
            param=FIELD,
            code="invalid_sealed_thought",
        ) from None


def make_sealing(
    services: Services,
    account: RequestAccount,
    request: ReplyRequest,
    origin: ThoughtOrigin | None,
    earlier: CutThought | None,
) -> ThoughtSealing | None:
    """Return how the thoughts of `request` are sealed; None: it does not want them."""
    options = request.thinking.options
    is_filler = options is not None and options.kind not in (None, ThoughtKind.TEXT.value)
    if is_filler or not request.thinking.seals_thought:
        return None
    assert origin is not None  # the model was told that it is needed
    seal_of_key, key_id = services.seal.of(account.key.key_id), account.key.key_id

    def seal(kept: KeptThought) -> str | None:
        whole = kept if earlier is None else earlier.kept.then(kept)
        return seal_of_key.seal_cut(CutThought(whole, origin)) if whole.token_ids else None

    def keep(receipts: Sequence[Receipt]) -> None:
        found = [receipt.to_dict() for receipt in receipts]
        services.sealed_thoughts.put(key_id, request.reply_id, found)

    return ThoughtSealing(seal, keep)
