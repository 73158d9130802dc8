"""Running the command line in tests."""

import re
import shutil
import subprocess
import sys

SHORT = ["--epochs", "1", "--batch-size", "64"]
MAIN = "from fastnn.cli import main; raise SystemExit(main())"
PLAIN = f"import sys; sys.modules['tqdm'] = sys.modules['matplotlib'] = None; {MAIN}"


def run(*arguments, code=MAIN, **options):
    """Run ``fastnn ARGUMENTS`` in a process of its own; code=PLAIN hides optional packages."""
    options = {"capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], **options)


def installed():
    """Return the command as users type it, or what is the same where it is not on the path."""
    program = shutil.which("fastnn")
    return [program] if program else [sys.executable, "-m", "fastnn"]


def start(*arguments, code=None, **options):
    """Start ``python -m fastnn ARGUMENTS``, or `code` with them; stdout and stderr in pipes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    program = ["-m", "fastnn"] if code is None else ["-c", code]
    return subprocess.Popen([sys.executable, *program, *map(str, arguments)], **options)


def accuracy(stdout):
    return float(re.search(r"^test accuracy ([\d.]+)%", stdout, re.MULTILINE).group(1))
