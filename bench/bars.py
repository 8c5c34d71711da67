"""A bar chart as SVG."""

from __future__ import annotations

from html import escape

ROW, LABELS, BARS, VALUES = 22, 330, 380, 70


def bars(title: str, values: list[tuple[str, float]]) -> str:
    """Draws one bar for each labelled value. They begin at zero."""
    width, height = LABELS + BARS + VALUES, ROW * (len(values) + 1) + 8
    most = max((value for _, value in values), default=0.0) or 1.0
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="16" font-weight="bold" fill="#222">{escape(title)}</text>',
    ]
    for nth, (label, value) in enumerate(values, 1):
        top = nth * ROW + 4
        length = round(BARS * value / most, 1)
        colour = "#1f6feb" if label.startswith(("transform", "publish")) else "#9aa4af"
        lines += [
            f'<text x="{LABELS - 8}" y="{top + 14}" text-anchor="end" fill="#222">{escape(label)}</text>',
            f'<rect x="{LABELS}" y="{top + 3}" width="{length}" height="{ROW - 7}" fill="{colour}"/>',
            f'<text x="{LABELS + length + 6}" y="{top + 14}" fill="#222">{value:.1f}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
