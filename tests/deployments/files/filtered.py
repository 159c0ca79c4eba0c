"""Run by tests: loads a filter of system calls, given as Docker has it, then builds a sandbox and prints the result."""

import ctypes
import ctypes.util
import json
import sys
from pathlib import Path
from typing import Any

from agent.sandbox.probe import probe_sandbox

ACTIONS = {"SCMP_ACT_ALLOW": 0x7FFF0000}
OPERATORS = {"SCMP_CMP_NE": 1, "SCMP_CMP_EQ": 4}
ERRNO = 0x00050000


class Argument(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def load(profile: dict[str, Any]) -> int:
    """Filter this process and all it starts; gives how many system calls the profile names."""
    library = ctypes.CDLL(ctypes.util.find_library("seccomp"), use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ERRNO | profile["defaultErrnoRet"])))
    named = 0
    for rule in profile["syscalls"]:
        given = [Argument(one["index"], OPERATORS[one["op"]], one["value"], 0) for one in rule.get("args", [])]
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            named += 1
            if number == -1:  # of a newer kernel than this library knows
                continue
            array = (Argument * len(given))(*given)
            status = library.seccomp_rule_add_array(
                context, ctypes.c_uint32(ACTIONS[rule["action"]]), number, len(given), array
            )
            assert status == 0, f"{name}: {status}"
    assert library.seccomp_load(context) == 0
    return named


if __name__ == "__main__":
    named = load(json.loads(Path(sys.argv[1]).read_text()))
    sandbox = probe_sandbox("auto")
    print(json.dumps({"named": named, "kind": sandbox.kind, "reason": sandbox.reason}))
