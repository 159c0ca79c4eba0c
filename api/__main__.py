"""`python -m api`: starts a host."""

import gc
from importlib import import_module

if __name__ == "__main__":
    gc.disable()  # imported modules are never garbage; collecting takes a sixth of the start
    server = import_module("api.server")
    gc.freeze()
    gc.enable()
    server.main()
