"""The task that each agent gets, with the calls of its own tools that carry it out."""

from collections.abc import Mapping, Sequence

from tests.sdk.agents.playing import Call

TASK = "Put the answer to everything into notes.txt, with your tools."
FILE, LINE = "notes.txt", "the answer is 42"
# What neither a call nor a task says: only the shell that ran can have written it.
COUNTED, SHOUTED = "counted 42 of them", LINE.upper()
COUNT = "echo counted $((6 * 7)) of them"
SHOUT = f"tr a-z A-Z < {FILE}"
PATCH = f"*** Begin Patch\n*** Add File: {FILE}\n+{LINE}\n*** End Patch\n"


def make_calls(folder: str) -> Mapping[str, Sequence[Call]]:
    """Return each agent's calls: a command, a file that is written, a command that reads it."""
    path = f"{folder}/{FILE}"
    written = {"file_path": path, "content": f"{LINE}\n"}
    return {
        "codex": (
            Call("exec_command", {"cmd": COUNT}, COUNTED),
            Call("apply_patch", {"input": PATCH}, ""),
            Call("exec_command", {"cmd": SHOUT}, SHOUTED),
        ),
        "claude_code": (
            Call("Bash", {"command": COUNT, "description": "Count"}, COUNTED),
            Call("Write", written, ""),
            Call("Bash", {"command": SHOUT, "description": "Read"}, SHOUTED),
        ),
        "opencode": (
            Call("bash", {"command": COUNT, "description": "Count"}, COUNTED),
            Call("write", {"filePath": path, "content": f"{LINE}\n"}, ""),
            Call("bash", {"command": SHOUT, "description": "Read"}, SHOUTED),
        ),
        "qwen_code": (
            Call("run_shell_command", {"command": COUNT, "is_background": False}, COUNTED),
            Call("write_file", written, ""),
            Call("run_shell_command", {"command": SHOUT, "is_background": False}, SHOUTED),
        ),
    }
