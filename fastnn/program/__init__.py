"""Functions that are recorded once and run as one call: see `fastnn.compile`.

``record`` runs the function on symbols; ``graph`` finds the buffers behind the pointers of what it
asked for; ``dead_code`` and ``fusion`` make the ops fewer, ``arena`` finds room for what is
temporary, ``order`` tells which ops wait for which; ``build`` hands it all to ``_core.Program``,
which replays it. ``bindings`` watches what the function refers to, ``explain`` shows what it has
become, ``save`` writes it to a file.
"""

from fastnn._core import RecordingError
from fastnn.program.compiled import CompiledFunction, compile
from fastnn.program.save import SavedProgram, load

__all__ = ["CompiledFunction", "RecordingError", "SavedProgram", "compile", "load"]
