"""Reports: plain values to one self-contained HTML file with SVG charts."""
