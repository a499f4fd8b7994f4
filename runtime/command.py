"""What the commands ``runtime`` and ``toolkit`` share: one way to run a subcommand and to end in an error."""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from runtime.errors import DataError, EdgeExportError, UsageError, first_line, one_line
from runtime.signals import ended_by_signals

# Conventional exit code of a program ended by a signal: 128 + its number. SIGPIPE, 13, ends other programs whose reader
# has gone; Windows does not know it.
_SIGNALLED, _SIGPIPE = 128, 13
_OURS = ("runtime", "converters", "toolkit")


class HelpFormatter(argparse.HelpFormatter):
    """Fills paragraphs to the terminal's width and leaves indented lines, which are examples, as they are."""

    def __init__(self, *args: Any, **options: Any) -> None:
        # What argparse would ask a module for that takes long to load; a formatter is made for each argument.
        options.setdefault("width", _columns() - 2)
        super().__init__(*args, **options)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = []
        for block in text.strip("\n").split("\n\n"):
            lines = block.splitlines()
            plain = not any(line.startswith("  ") or line.endswith(":") for line in lines)
            blocks.append(textwrap.fill(block, width) if plain else block)
        return "\n\n".join(blocks) + "\n"


def _columns() -> int:
    """Width of the terminal, as ``shutil.get_terminal_size`` finds it."""
    with suppress(KeyError, ValueError):
        if (columns := int(os.environ["COLUMNS"])) > 0:
            return columns
    with suppress(OSError, ValueError, AttributeError):
        if (columns := os.get_terminal_size(sys.__stdout__.fileno()).columns) > 0:  # type: ignore[union-attr]
            return columns
    return 80


class CommandParser(argparse.ArgumentParser):
    """Ends in one line instead of argparse's block of usage: what was wrong, what was received, what to do."""

    def __init__(self, *args: Any, **options: Any) -> None:
        # Our words stand for argparse's, which must be the English ones; and it looks for translations of each word
        # anew, in a dozen folders, for some milliseconds at every start.
        vars(argparse)["_"] = str
        options.setdefault("formatter_class", HelpFormatter)
        super().__init__(*args, **options)
        self.register("type", int, whole_number)
        self.register("type", float, number)
        self.register("type", Path, path_argument)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but what is left over is an error of the subcommand, which knows its options."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._suggestion(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError in our words."""
        for pattern, ours in _WORDS:
            message = re.sub(pattern, ours, message, flags=re.DOTALL)
        raise UsageError(f"{message}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse does, but help that cannot be written is an error as any other."""
        if message:
            (file or sys.stderr).write(message)

    def _suggestion(self, unknown: Sequence[str]) -> str:
        import difflib

        for word in unknown:
            near = difflib.get_close_matches(word.partition("=")[0], self._option_string_actions, 1)
            if word.startswith("--") and near:
                return f" (is {near[0]} meant?)"
        return ""


class ShowVersion(argparse.Action):
    """``--version``: which release this is, looked up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_more: object) -> None:
        """Print, and end."""
        from runtime.versions import our_version

        sys.stdout.write(f"{parser.prog} {our_version()} (Python {sys.version.split()[0]})\n")
        parser.exit()


# What argparse says -> what we say.
_WORDS = (
    (r"^argument ([^:/]+)(/[^:]+)?: ", r"\1: "),  # the first of an option's names
    (r"invalid choice: (.+) \(choose from (.+)\)$", lambda found: _one_of(found[2], found[1])),
    (r"expected one argument$", "needs a value behind it"),
    (r"ignored explicit argument (.+)$", r"takes no value; got \1"),
    (r"^the following arguments are required: ", "missing: "),
)


def _one_of(choices: str, value: str) -> str:
    return f"must be one of {choices.replace(chr(39), '')}; got {value}"


def whole_number(text: str) -> int:
    """An argument as an int.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number; got {text!r}") from None


def number(text: str) -> float:
    """An argument as a float.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number; got {text!r}") from None


def path_argument(text: str) -> Path:
    """An argument as a path.

    Raises:
        ArgumentTypeError: it is empty, which ``Path`` would take for the current folder.
    """
    return Path(name_argument(text))


def name_argument(text: str) -> str:
    """An argument that names a file, a folder or an address, as it is.

    Raises:
        ArgumentTypeError: it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("is empty; name a file or a folder (. is the current folder)")
    return text


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Parse, call ``args.run(args)``, and turn every error a user can cause into one line on standard error.

    Returns:
        The exit code: 0 done, 1 the data or the machine, 2 the command line, 130 Ctrl-C, 141 the reader of standard
        output has gone, 143 SIGTERM.
    """
    _prepare_streams()
    warnings.filterwarnings("ignore", module="PIL")  # odd EXIF is no news for the user
    try:
        with ended_by_signals() as received:
            code = _run(parser, argv, received)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has gone: that is said by the exit code alone, as others do
        abandon_streams()
        return _SIGNALLED + _SIGPIPE
    except OSError as error:  # standard output on a full disk, or a path no check of ours foresaw
        abandon_streams()
        what = one_line(error) if error.filename is not None else _not_written(error)
        sys.stderr.write(f"{parser.prog}: error: {what}\n")
        return 1
    return code


def _not_written(error: OSError) -> str:
    why = "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)
    return f"standard output cannot be written: {why}"


@contextmanager
def last_words(safe: str) -> Iterator[None]:
    """Where the block cannot write to standard output, say what was done all the same.

    Args:
        safe: what the command has done by now, for people.

    Raises:
        DataError: standard output is on a full disk, say; a reader that has gone is no error of ours.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        abandon_streams()
        raise DataError(f"{_not_written(error)}; {safe}") from error


def _run(parser: argparse.ArgumentParser, argv: Sequence[str] | None, received: list[int]) -> int:
    try:
        args = parser.parse_args(argv)
        code: int = args.run(args)
        return code
    except SystemExit as stop:  # argparse's --help
        return stop.code if isinstance(stop.code, int) else 2
    except (Exception, KeyboardInterrupt) as error:
        if received or isinstance(error, KeyboardInterrupt):  # code written in C may turn it into an error of its own
            return _ended(parser.prog, received[0] if received else signal.SIGINT)
        if isinstance(error, EdgeExportError):
            sys.stderr.write(f"{parser.prog}: error: {one_line(error)}\n")
            return error.exit_code
        if isinstance(error, MemoryError):
            sys.stderr.write(f"{parser.prog}: error: not enough memory; use smaller pictures, or a smaller model\n")
            return 1
        if isinstance(error, ModuleNotFoundError) and parser.prog == "toolkit":
            raise  # which says what brings the package
        if isinstance(error, ImportError) and not (error.name or "").startswith(_OURS):
            sys.stderr.write(f"{parser.prog}: error: {_does_not_load(error)}\n")
            return 1
        raise


def _does_not_load(error: ImportError) -> str:
    why = first_line(error.__cause__ or error)  # numpy writes a page, with the cause behind it
    return f"a package that is needed does not load: {one_line(why)}; install it anew, `runtime doctor` says more"


def _ended(name: str, number: int) -> int:
    from runtime.last_line import say_last
    from runtime.quiet import release_stderr

    release_stderr()
    what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    say_last(f"{name}: {what}")
    return _SIGNALLED + number


def _prepare_streams() -> None:
    """Labels and paths in any language, whatever the locale says.

    Where standard output is closed, writing to it fails, as with other programs; standard error swallows its text.
    """
    for name, mode in (("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, mode), "w", encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def abandon_streams() -> None:
    """Send what cannot be written to the null device, or Python complains about it once more when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
