"""`python -m api`: starts a host."""

import gc
import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    # flows of the operator, named in prefect.yaml, may lie in the working directory; ours come first
    sys.path.append(str(Path.cwd()))
    gc.disable()  # imported modules are never garbage; collecting takes a sixth of the start
    server = import_module("api.server")
    gc.freeze()
    gc.enable()
    server.main()
