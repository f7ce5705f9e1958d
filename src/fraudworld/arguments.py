"""Arguments of Python callers, made exact before any work: a wrong kind is an InputError.

A path becomes absolute once, so that every library reads the same place and a later `chdir` moves
nothing. numpy's numbers are numbers; a truth value or a text is none.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Sequence
from pathlib import Path

from fraudworld.errors import InputError

LARGEST_SEED = 2**63 - 1


def whole(value: object, where: str, *, least: int | None = None, most: int | None = None) -> int:
    """An integer, from `least` to `most`. Raises InputError `6A.CLI.ARGUMENT_INVALID`."""
    try:
        if _is_truth(value):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise _wrong_kind(value, where, "a whole number") from None
    if (least is not None and number < least) or (most is not None and number > most):
        bounds = f"at least {least}" if most is None else f"a number from {least} to {most}"
        raise invalid(where, f"{where} is {number}", f"give {bounds}")
    return number


def positive(value: object, where: str, remedy: str) -> float:
    """A finite number above 0. Raises InputError `6A.CLI.ARGUMENT_INVALID` with the remedy."""
    try:
        if isinstance(value, str | bytes) or _is_truth(value):
            raise TypeError
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise _wrong_kind(value, where, "a number") from None
    if not (math.isfinite(number) and number > 0):
        raise invalid(where, f"{where} is {number}", remedy)
    return number


def truth(value: object, where: str) -> bool:
    """True or False. Raises InputError `6A.CLI.ARGUMENT_INVALID`."""
    if _is_truth(value):
        return bool(value)
    raise _wrong_kind(value, where, "True or False")


def word(value: object, where: str) -> str:
    """A text. Raises InputError `6A.CLI.ARGUMENT_INVALID`."""
    if isinstance(value, str):
        return str(value)
    raise _wrong_kind(value, where, "a text")


def words(values: object, where: str) -> tuple[str, ...]:
    """A list of texts or paths, which one text is not."""
    if isinstance(values, str | bytes | os.PathLike) or not isinstance(values, Sequence):
        raise _wrong_kind(values, where, "a list of texts")
    return tuple(word(os.fspath(v) if isinstance(v, os.PathLike) else v, where) for v in values)


def wholes(values: object, where: str, *, least: int, most: int) -> tuple[int, ...]:
    """A list of integers from `least` to `most`."""
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise _wrong_kind(values, where, "a list of whole numbers")
    return tuple(whole(v, where, least=least, most=most) for v in values)


def place(value: object, where: str) -> Path:
    """The absolute path of a file or folder that may not exist; `~` is a home folder.

    Links are kept. Raises InputError `6A.CLI.PATH_INVALID` for a text that can be no path here:
    of bytes that are no text, with a NUL, too long, below a folder that may not be searched,
    of an unknown user, or relative to a working folder that was deleted.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise _wrong_kind(value, where, "a path")
    text = os.fspath(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _no_path(text, where, "its name is no UTF-8", "rename it") from None
    if "\0" in text or not text:
        raise _no_path(text, where, "it is empty or holds a NUL", "give a path")
    path = os.path.expanduser(text)
    if path.startswith("~"):
        user = path.partition(os.sep)[0]
        raise _no_path(text, where, f"there is no home folder {user}", f"write ./{text}")
    try:
        path = os.path.abspath(path)
    except FileNotFoundError:
        raise _no_path(
            text, where, "the working folder was deleted", "change to another, or give a full path"
        ) from None
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise _no_path(path, where, str(error.strerror), "choose another path") from error
    return Path(path)


def invalid(where: str, what: str, remedy: str) -> InputError:
    """The error for an argument of the right kind with a wrong value."""
    return InputError("6A.CLI.ARGUMENT_INVALID", what, where=where, remedy=remedy)


def _is_truth(value: object) -> bool:
    return type(value).__name__ in ("bool", "bool_")  # Python's or numpy's


def _wrong_kind(value: object, where: str, wanted: str) -> InputError:
    kind = type(value).__name__
    return invalid(where, f"{where} is {value!r:.60} of type {kind}", f"give {wanted}")


def _no_path(text: str, where: str, why: str, remedy: str) -> InputError:
    shown = text if len(text) <= 200 else f"{text[:200]}…"
    return InputError(
        "6A.CLI.PATH_INVALID",
        f"{where} cannot be used: {why}",
        where=repr(shown)[1:-1],
        remedy=remedy,
    )
