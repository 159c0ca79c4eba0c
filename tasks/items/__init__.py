"""Items: what of a source is one, what makes it new, and how an agent is shown it as material and no instruction.

Front door: `items.read_items`, `prompt.render_prompt`. Imports: sources."""
