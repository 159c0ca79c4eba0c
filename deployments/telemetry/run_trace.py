"""Spans of one run: task attempts and tool calls.

Attributes have the names of OpenTelemetry's conventions for generative AI where there are any. Prompts, answers and
tool input are not in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from agent.domain.events import Event, ModelRetried, Started, ToolCalled, ToolReturned
from agent.domain.result import AgentResult, Outcome
from deployments.telemetry.observers import ObservedRun
from tasks.agent_run.outcome import status_of


class RunTrace:
    """The trace of one run; made by `Tracing.watch`, ended with the run.

    No span is made the current one: Prefect's engine would take it for the parent of its own, and label runs with it.
    """

    def __init__(self, tracer: Tracer, run: ObservedRun) -> None:
        self._tracer = tracer
        self._run = run
        self._root = tracer.start_span(
            "agent_run",
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes={
                "agent_service.run_id": str(run.run_id),
                "agent_service.trigger": run.trigger,
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.provider.name": "anthropic",
                "gen_ai.agent.name": run.agent,
            },
        )
        if run.waited_seconds is not None:
            self._root.set_attribute("agent_service.waited_seconds", run.waited_seconds)
        self._task = self._root
        self._tools: dict[str, Span] = {}

    def on_event(self, event: Event) -> None:
        """Make tool calls spans, and add other facts to the span of the run or the task."""
        match event:
            case Started():
                self._root.set_attribute("gen_ai.agent.name", self._run.agent)
                self._root.set_attribute("gen_ai.request.model", event.model)
            case ToolCalled():
                self._tools[event.id] = self._begin(
                    f"execute_tool {event.name}",
                    self._task,
                    {
                        "gen_ai.operation.name": "execute_tool",
                        "gen_ai.tool.name": event.name,
                        "gen_ai.tool.call.id": event.id,
                    },
                )
            case ToolReturned():
                tool = self._tools.pop(event.id, None)
                if tool is not None:
                    _finish(tool, "the tool reported an error" if event.is_error else None)
            case ModelRetried():
                self._task.add_event("model call retried", {"attempt": event.attempt, "status": event.status or 0})

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Make a span for this attempt; spans of tools that never returned end with it."""
        self._task = self._begin(name, self._root, {})
        failure: str | None = None
        try:
            yield
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            for tool in self._tools.values():
                _finish(tool, "the agent ended before it returned")
            self._tools.clear()
            _finish(self._task, failure)
            self._task = self._root

    def end(self, outcome: Outcome | None) -> None:
        """End the trace with the outcome and the cost."""
        self._root.set_attribute("agent_service.outcome", status_of(outcome) if outcome is not None else "put off")
        if outcome is not None and outcome.result is not None:
            self._set_result(outcome.result)
        _finish(self._root, outcome.error if outcome is not None else None)

    def _set_result(self, result: AgentResult) -> None:
        usage = result.usage
        attributes = {
            "gen_ai.response.model": result.model,
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cache_read_input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "agent_service.cost_usd": result.cost_usd,
            "agent_service.turns": result.turns,
            "agent_service.workspace.commit": result.workspace.commit if result.workspace else None,
        }
        self._root.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def _begin(self, name: str, parent: Span, attributes: dict[str, str]) -> Span:
        return self._tracer.start_span(name, context=set_span_in_context(parent, Context()), attributes=attributes)


def _finish(span: Span, failure: str | None) -> None:
    if failure is not None:
        span.set_status(Status(StatusCode.ERROR, failure[:200]))
    span.end()
