"""Names of the sides that are compared, as stages write them and reports read them."""

BUDGET = "a budget"  # the main case of the stage "step"
PLAIN, IDLE, OURS, NATIVE = "no processor", "ours, idle", "ours, a budget", "vLLM's budget"
HIDDEN, SHOWN, VLLM = "ours, hidden", "ours, shown", "vLLM"
DRAFTS, DRAFTS_BUDGET = "n-gram, no budget", "n-gram, a budget"
# By which side the others of a stage are divided.
BASES = {"engine": PLAIN, "server": VLLM, "speculative": DRAFTS}
