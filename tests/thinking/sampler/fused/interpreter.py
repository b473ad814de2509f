"""Triton's interpreter, which runs kernels on CPU tensors, made fast enough for these tests."""

import os
from typing import Any

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def make_interpreter_fast() -> None:
    """Replace the functions of ``triton.language`` once, not at each call of each function.

    And do not check each sum of integers for an overflow. A kernel here makes a hundred calls:
    it runs in a third of the time.
    """
    from triton.runtime import interpreter

    options = interpreter.InterpreterOptions(sanitize_overflow=False)
    interpreter.interpreter_builder.options = options
    original, patched = interpreter._patch_lang, set[int]()

    def patch(function: Any) -> Any:
        known = (interpreter.tl, interpreter.tl.core)
        names = function.__globals__.values()
        languages = {id(language) for language in known if any(v is language for v in names)}
        if not languages <= patched:
            original(function)
            patched.update(languages)
        return interpreter._LangPatchScope()

    interpreter._patch_lang = patch
