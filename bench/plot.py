"""Draws curves on logarithmic axes, as an SVG that reads in light and in dark."""

from __future__ import annotations

from math import ceil, floor, log10

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 30, 50
FONT = 'font-family="sans-serif" font-size="11"'
CENTRED = 'text-anchor="middle"'
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")

Curve = list[tuple[float, float]]


def curves(title: str, across: str, up: str, lines: dict[str, Curve]) -> str:
    """Return an SVG of curves by name; all values are positive."""
    points = [point for line in lines.values() for point in line]
    frame = _Frame([x for x, _ in points], [y for _, y in points])
    view = f"0 0 {WIDTH} {HEIGHT}"
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="13">{title}</text>',
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, across, "middle"),
        f'<text transform="translate(14 {middle}) rotate(-90)" {CENTRED}>{up}</text>',
        *frame.grid(),
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in line)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" '
            'stroke-width="1.8"/>'
        )
        parts += [
            f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="2.5" '
            f'fill="{colour}"/>'
            for x, y in line
        ]
        at = TOP + 12 + 16 * number
        parts.append(
            f'<rect x="{WIDTH - RIGHT + 12}" y="{at - 8}" width="10" height="10" '
            f'fill="{colour}"/>'
        )
        parts.append(_text(WIDTH - RIGHT + 27, at + 1, name, "start"))
    return "\n".join([*parts, "</svg>", ""])


class _Frame:
    """The field of the curves: whole decades in both directions."""

    def __init__(self, across: list[float], up: list[float]) -> None:
        self.left, self.right = _decades(across)
        self.bottom, self.top = _decades(up)

    def x(self, value: float) -> float:
        part = (log10(value) - self.left) / (self.right - self.left)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        part = (log10(value) - self.bottom) / (self.top - self.bottom)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    def grid(self) -> list[str]:
        parts = []
        low, high = HEIGHT - BOTTOM, WIDTH - RIGHT
        for power in range(self.left, self.right + 1):
            x = self.x(10.0**power)
            parts.append(_rule(x, TOP, x, low))
            parts.append(_text(x, low + 16, _number(power), "middle"))
        for power in range(self.bottom, self.top + 1):
            y = self.y(10.0**power)
            parts.append(_rule(LEFT, y, high, y))
            parts.append(_text(LEFT - 6, y + 4, _number(power), "end"))
        return parts


def _decades(values: list[float]) -> tuple[int, int]:
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return low, max(high, low + 1)


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        'stroke="#ccc" stroke-width="0.7"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _number(power: int) -> str:
    for least, unit in ((9, "G"), (6, "M"), (3, "k"), (0, "")):
        if power >= least:
            return f"{10 ** (power - least)} {unit}".strip()
    return f"{10.0**power:.{-power}f}"
