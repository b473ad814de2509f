"""The closed set of error codes for metrics labels; any other code counts as "other".

New codes must be added here; a test searches the source for missing ones.
"""

OTHER = "other"

# Errors of the body or its fields (400, 408, 409, 413, 415).
BAD_REQUESTS = (
    "body_timeout",
    "body_too_large",
    "budget_at_ceiling",
    "budget_too_small",
    "context_length_exceeded",
    "continuation_too_long",
    "contradictory_fields",
    "invalid_encrypted_content",
    "invalid_encoding",
    "invalid_json",
    "invalid_sealed_thought",
    "invalid_value",
    "missing_field",
    "no_scorer",
    "not_json",
    "not_thinking",
    "other_thought",
    "segment_too_short",
    "text_too_long",
    "thought_too_long",
    "too_many_verdicts",
    "turn_budget_differs",
    "turn_not_supported",
    "unknown_field",
    "unsupported_encoding",
    "unsupported_sampling",
    "wrap_up_too_long",
)
# Authentication, permissions and unknown resources (401, 403, 404, 405).
ACCESS = (
    "invalid_api_key",
    "invalid_trace_token",
    "evaluation_not_found",
    "item_not_found",
    "method_not_allowed",
    "model_not_found",
    "not_allowed",
    "not_found",
    "previous_response_not_found",
    "reply_not_found",
    "response_not_found",
    "sealed_thought_not_found",
    "trace_not_found",
    "traces_off",
    "turn_not_found",
)
# Quotas and load (429, 504).
CAPACITY = (
    "deadline_exceeded",
    "queue_full",
    "queue_timeout",
    "quota_exceeded",
    "too_many_concurrent_requests",
    "too_many_turns",
    "too_many_waiting_responses",
    "websocket_connection_limit_reached",
)
# Failures of the server (500, 503).
FAILURES = (
    "draining",
    "engine_dead",
    "engine_error",
    "engine_lost",
    "internal_error",
    "ledger_unavailable",
    "no_engine_ready",
    "not_ready",
    "quota_storage_unavailable",
    "response_store_unavailable",
    "scorer_unavailable",
    "server_lost",
    "shutting_down",
    "trace_store_busy",
    "trace_store_failed",
)
CAUSES = (*BAD_REQUESTS, *ACCESS, *CAPACITY, *FAILURES, OTHER)


def to_cause(error_code: str | None) -> str:
    """Return `error_code` if it is a known code, else "other"."""
    return error_code if error_code in CAUSES else OTHER
