"""Draws the dataflow of a file as SVG, HTML or Mermaid."""
