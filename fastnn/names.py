"""Names that users type: what to say when there is none such."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(what: str, name: str, valid: Iterable[str]) -> str:
    """Return the message for an unknown name, with the closest one that is valid.

    Parameters
    ----------
    what : str
        What it names, in the singular.
    name : str
        What was given.
    valid : iterable of str
        The names there are.

    Examples
    --------
    >>> suggest("model", "lenet6", ["mlp", "lenet5"])
    "unknown model 'lenet6'; did you mean 'lenet5'? valid: mlp, lenet5"
    """
    valid = list(valid)
    folded = {known.casefold(): known for known in valid}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.7)
    hint = f"did you mean {folded[close[0]]!r}? " if close else ""
    return f"unknown {what} {name!r}; {hint}valid: {', '.join(valid)}"
