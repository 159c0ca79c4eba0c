"""The command `agent-service`.

Front door: `main.main`. Imports: every layer below; a command's modules are loaded when the command is called."""
