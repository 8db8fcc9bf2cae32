"""Plots of ratios, by gnuplot."""

import math
import subprocess

import results


def bars(path, title, rows, engines, labels):
    """Bars of ratios, varve / peer, on a logarithmic scale: those above the line are better, those below it worse, also of
    what is better lower. `rows`: (row, its figures). False if there are none."""
    peers = [engine for engine in engines if engine != "varve"]
    table, powers = [], [0]
    for row, of_engines in rows:
        if row.info or "varve" not in of_engines:
            continue
        cells = []
        for peer in peers:
            quotient = results.Ratio(row, of_engines["varve"], of_engines[peer]).of_medians if peer in of_engines else 0
            if quotient in (0, float("inf")):
                cells.append("?")
                continue
            powers.append(-math.log2(quotient) if row.lower else math.log2(quotient))
            cells.append(f"{powers[-1]:.4f}")
        table.append("\t".join(['"' + row.title.replace('"', "'") + '"', *cells]))
    if not peers or not table:
        return False
    least, most = math.floor(min(powers)), max(math.ceil(max(powers)), 1)
    tics = ", ".join(f"'{2**power if power >= 0 else f'1/{2**-power}'}' {power}" for power in range(least, most + 1))
    columns = ", ".join(f"$data using {i + 2}:xtic(1) title '{labels[peer]}'" for i, peer in enumerate(peers))
    draw(path, "1200,560", [
        "set datafile missing '?'", "$data << END", *table, "END", f'set title "{title}: times as good as the others"',
        "set style data histograms", "set style histogram clustered gap 1", "set style fill solid 0.8 border -1",
        f"set yrange [{least}:{most}]", f"set ytics ({tics})", "set grid ytics", "set xtics rotate by -18 left noenhanced",
        "set key outside top horizontal noenhanced",
        "set arrow from graph 0, first 0 to graph 1, first 0 nohead linewidth 2 front", f"plot {columns}",
    ])  # fmt: skip
    return True


def draw(path, size, script):
    """`script`: lines of gnuplot; data in it is separated by tabs."""
    lines = [f"set terminal pngcairo size {size} font 'sans,11'", f"set output '{path}'", "set datafile separator '\\t'",
             *script, ""]  # fmt: skip
    done = subprocess.run(["gnuplot"], input="\n".join(lines), text=True, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise results.Failure(f"gnuplot: {done.stderr.strip()}")
