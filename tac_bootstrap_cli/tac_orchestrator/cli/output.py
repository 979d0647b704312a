"""What a command prints: JSON for programs, and for people what suits the place it goes to.

A terminal gets lines that fit its width: columns that matter least are left out, long texts are cut, numbers and times are
short, states have colors. Anything else, a pipe or a file, gets the same lines whole and exact, a row a line, in plain
aligned columns that can be searched. A table is laid out here because rich, which would wrap it, takes six seconds for
10,000 rows.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import click
import orjson
from rich.cells import cell_len, set_cell_size

from tac_orchestrator.cli.formats import NUMBERS, Kind, color_of, exact, human, plain
from tac_orchestrator.cli.harmless import harmless_json, visible_lines

_GAP = "  "
_LONGEST = 2000
"""Signs of a text that a terminal's column looks at."""

_ASCII = str.maketrans("…→├└─│·⟦⟧", "~>|`-|-[]")


@dataclass(frozen=True, slots=True)
class Column:
    """On a narrow terminal it may be cut to `least` cells, and is left out the sooner the higher `spare` is."""

    title: str
    kind: Kind = "text"
    least: int | None = None
    spare: int = 0
    only: Literal["terminal", "pipe"] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A row, with what a terminal shows below it."""

    values: Sequence[Any]
    note: str | None = None
    strong: bool = False


class Screen:
    """Where standard output goes."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()
        self.has_color = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.width = shutil.get_terminal_size().columns if self.is_terminal else None
        self.now = datetime.now(UTC)
        self._knows_signs = _can_encode(getattr(sys.stdout, "encoding", None) or "ascii")

    def line(self, text: str = "") -> None:
        """One line as it is, or several."""
        sys.stdout.write(f"{text if self._knows_signs else text.translate(_ASCII)}\n")

    def styled(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self.has_color else text

    def state(self, value: str) -> str:
        """A state in its color."""
        return self.styled(plain(value), fg=color_of(value, "state"))

    def hint(self, text: str) -> None:
        """For a reader who sits there; not part of the answer."""
        if self.is_terminal:
            click.echo(self.styled(text, dim=True), err=True)

    def table(self, columns: Sequence[Column], lines: Iterable[Line]) -> None:
        for line in _Layout(self, columns, list(lines)).lines():
            self.line(line)

    def page(self, columns: Sequence[Column], lines: Sequence[Line], nouns: str, *, limit: int, last: str) -> None:
        """A page of a list, and how to get the next one. `last` is the id of its last row."""
        if not lines:
            click.echo(f"No {nouns}.", err=True)
            return
        self.table(columns, lines)
        if len(lines) == limit:
            self.hint(f"There may be more: --before {last}")

    def fields(self, pairs: Iterable[tuple[str, str | None]]) -> None:
        """Names and what there is to say to them. What is None is left out."""
        told = [(name, text) for name, text in pairs if text is not None]
        width = max((len(name) for name, _ in told), default=0)
        for name, text in told:
            self.line(f"{self.styled(name.ljust(width), dim=True)}{_GAP}{text}")

    def block(self, title: str, text: str) -> None:
        """A text of many lines."""
        self.heading(title)
        for line in visible_lines(text):
            self.line(f"  {line}".rstrip())

    def heading(self, title: str) -> None:
        self.line(f"\n{self.styled(title, bold=True)}")


class _Layout:
    """A table that fits."""

    def __init__(self, screen: Screen, columns: Sequence[Column], lines: Sequence[Line]) -> None:
        self._screen = screen
        self._lines = lines
        hidden = "pipe" if screen.is_terminal else "terminal"
        self._shown = [(place, column) for place, column in enumerate(columns) if column.only != hidden]
        self._cells = {place: [self._cell(line.values[place], column) for line in lines] for place, column in self._shown}
        self._widths = {
            place: max(map(cell_len, (column.title, *self._cells[place])), default=0) for place, column in self._shown
        }
        self._fit()

    def lines(self) -> Iterator[str]:
        yield self._joined([column.title for _, column in self._shown], [{"dim": True}] * len(self._shown))
        for number, line in enumerate(self._lines):
            texts = [self._cells[place][number] for place, _ in self._shown]
            yield self._joined(texts, [self._style(line, place, column) for place, column in self._shown])
            if line.note is not None and self._screen.is_terminal:
                yield self._screen.styled(_cut(line.note, self._screen.width or 80), fg="red")

    def _cell(self, value: Any, column: Column) -> str:
        if not self._screen.is_terminal:
            return plain(value, column.kind)
        text = value[:_LONGEST] if isinstance(value, str) else value
        return human(text, column.kind, self._screen.now)

    def _style(self, line: Line, place: int, column: Column) -> dict[str, Any]:
        style: dict[str, Any] = {"bold": True} if line.strong else {}
        color = color_of(line.values[place], column.kind)
        return {**style, "fg": color} if color else style

    def _joined(self, texts: Sequence[str], styles: Sequence[Mapping[str, Any]]) -> str:
        last = len(texts) - 1
        parts = list[str]()
        for number, ((place, column), text, style) in enumerate(zip(self._shown, texts, styles, strict=True)):
            fitted = _fitted(text, self._widths[place], column, is_last=number == last)
            parts.append(self._screen.styled(fitted, **style) if style else fitted)
        return _GAP.join(parts).rstrip()

    def _fit(self) -> None:
        while (excess := self._excess()) > 0 and not self._cut_down(excess):
            if len(self._shown) == 1:
                self._widths[self._shown[0][0]] -= excess
                return
            place = max(range(len(self._shown)), key=lambda number: (self._shown[number][1].spare, number))
            del self._shown[place]

    def _excess(self) -> int:
        if self._screen.width is None:
            return 0
        used = sum(self._widths[place] for place, _ in self._shown) + len(_GAP) * (len(self._shown) - 1)
        return used - self._screen.width

    def _cut_down(self, excess: int) -> bool:
        """Take what is too much from the columns that can be cut: the widest become as narrow as the next, and so on. False if
        they cannot give enough."""
        least = {place: column.least for place, column in self._shown if column.least is not None}
        for widest in range(max((self._widths[place] for place in least), default=0), -1, -1):
            cut = {place: min(self._widths[place], max(widest, low)) for place, low in least.items()}
            given = sum(self._widths[place] - width for place, width in cut.items())
            if given >= excess:
                last = max(place for place, width in cut.items() if width < self._widths[place])
                self._widths.update(cut)
                self._widths[last] += given - excess
                return True
        return False


def print_json(value: Any) -> None:
    """One thing, as an object."""
    sys.stdout.write(f"{_json(value, orjson.OPT_INDENT_2)}\n")


def print_json_rows(rows: Iterable[Any]) -> None:
    """Many things: an array, with an object a line."""
    texts = [_json(row) for row in rows]
    sys.stdout.write("[\n" + ",\n".join(texts) + "\n]\n" if texts else "[]\n")


def print_json_line(row: Any) -> None:
    """One of an endless number of things."""
    sys.stdout.write(f"{_json(row)}\n")


def short_ids(ids: Sequence[str]) -> list[str]:
    """As much of each as tells it from the others here. What begins alike was made in the same millisecond."""
    length = 13
    while length < 36 and len({id[:length] for id in ids}) < len(set(ids)):
        length += 5
    return [id[:length] for id in ids]


def _json(value: Any, option: int = 0) -> str:
    return harmless_json(orjson.dumps(value, default=_json_value, option=option | orjson.OPT_UTC_Z).decode())


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return exact(value)
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return dict(value)


def _fitted(text: str, width: int, column: Column, *, is_last: bool) -> str:
    if cell_len(text) > width:
        return _cut(_from_mark(text, width) if column.kind == "excerpt" else text, width)
    if column.kind in NUMBERS:
        return text if text.isascii() and len(text) == width else " " * (width - cell_len(text)) + text
    return text if is_last else text + " " * (width - cell_len(text))


def padded(text: str, width: int) -> str:
    """Cut or filled to just so many cells."""
    return _cut(text, width) + " " * (width - cell_len(text))


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"


def _from_mark(text: str, width: int) -> str:
    """The same, without so much of its beginning that the first word which was found would be out of sight."""
    start, end = text.find("⟦"), text.find("⟧")
    return text if cell_len(text[: end + 1]) < width else f"…{text[max(start - width // 4, 0) :]}"


def _can_encode(encoding: str) -> bool:
    try:
        "…→├└─│".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
