"""``/tokenize``, ``/detokenize`` and ``/tokenizer_info``: text to token ids and back.

Encodes prompts exactly as for replies: control tokens in a text are plain text. Generates nothing.
"""

from typing import Any, TypeVar

from fastapi import APIRouter, Request

from server.account.account import get_account
from server.api.body import read_body
from server.api.openapi import document_body
from server.api.tokens.protocol import DetokenizeRequest, TokenizeRequest
from server.keys.permissions import check_model
from server.model.served_model import ServedModel
from server.prompt.conversation import Conversation
from server.prompt.plain_prompt import check_token_ids
from server.prompt.tool_prompt import with_tools
from server.state import get_services

router = APIRouter(tags=["tokens"])
BodyT = TypeVar("BodyT", TokenizeRequest, DetokenizeRequest)


@router.post(
    "/tokenize",
    summary="Tokenize text",
    openapi_extra=document_body(TokenizeRequest),
)
async def tokenize(request: Request) -> dict[str, Any]:
    """Return the token ids of a text or a conversation, as the model would get them."""
    model, body = await _read_body(request, TokenizeRequest)
    prompt = body.to_prompt()
    if isinstance(prompt, Conversation):
        prompt = with_tools(prompt, body.tool_use, model.engine.tokenizer.chat_template)
    token_ids = list(await model.encode(prompt))
    token_strs = None
    if body.return_token_strs:
        tokens = model.engine.tokenizer.convert_ids_to_tokens(token_ids)
        token_strs = [token or "" for token in tokens]
    return {
        "count": len(token_ids),
        "max_model_len": model.engine.max_model_len,
        "tokens": token_ids,
        "token_strs": token_strs,
    }


@router.post(
    "/detokenize",
    summary="Detokenize tokens",
    openapi_extra=document_body(DetokenizeRequest),
)
async def detokenize(request: Request) -> dict[str, Any]:
    """Return the text of tokens, including special tokens."""
    model, body = await _read_body(request, DetokenizeRequest)
    check_token_ids(body.tokens, model.engine.vocab_size, "tokens")
    tokenizer = model.engine.tokenizer
    text = await model.run_in_tokenizer_thread(
        lambda: tokenizer.decode(
            body.tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
    )
    return {"prompt": text}


@router.get("/tokenizer_info", summary="Get tokenizer information")
async def get_tokenizer_info(request: Request) -> dict[str, Any]:
    """Return the special tokens and the chat template, in vLLM's form as far as clients read it."""
    account = get_account(request)
    model = get_services(request).slot.choose_model(account, None)
    check_model(account.key, model.names, None)
    tokenizer = model.engine.tokenizer
    names = ("bos_token", "eos_token", "pad_token", "unk_token", "chat_template")
    return {"tokenizer_class": type(tokenizer).__name__} | {
        name: None if (value := getattr(tokenizer, name)) is None else str(value) for name in names
    }


async def _read_body(request: Request, body: type[BodyT]) -> tuple[ServedModel, BodyT]:
    """Return the model and the body, after checking that the caller may use the model."""
    slot, account = get_services(request).slot, get_account(request)
    slot.check_ready()
    parsed = await read_body(request, body)
    model = slot.choose_model(account, parsed.model)
    check_model(account.key, model.names, parsed.model)
    return model, parsed
