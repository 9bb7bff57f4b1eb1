"""The backend with which torch.compile compiles a variant of a call."""

from __future__ import annotations

from typing import Any

from artschool.registry.network_entry import CompileEntry


class Backend:
    """A backend of its own for each variant.

    torch shares graphs between calls of `torch.compile` whose backends are equal. This one equals only itself.

    Attributes:
        graphs: Number of graphs so far.
        times_again: Number of calls after the proof that needed new graphs.
        seconds_again: Duration of these calls.
    """

    def __init__(self, settings: CompileEntry) -> None:
        from torch._dynamo import lookup_backend

        self.__name__ = settings.backend
        self._compile = lookup_backend(settings.backend)
        self._options: dict[str, Any] = {}
        if settings.backend == "inductor":
            # Random numbers as those of eager operations, so that dropout is the same with and without `compile`.
            self._options["config_patches"] = {**_options_of(settings), "fallback_random": True}
        self.graphs = 0
        self.times_again = 0
        self.seconds_again = 0.0

    def __call__(self, graph: Any, inputs: Any) -> Any:
        """Compile a graph."""
        compiled = self._compile(graph, inputs, **self._options)
        self.graphs += 1
        return compiled


def _options_of(settings: CompileEntry) -> dict[str, Any]:
    from torch._inductor import list_mode_options

    return {} if settings.mode == "default" else list_mode_options(settings.mode, settings.dynamic)
