"""Sphinx: how the site looks and what is checked. `build.py` calls it."""

project = "artschool"
extensions = ["myst_parser"]
myst_heading_anchors = 4
nitpicky = True
html_theme = "furo"
html_title = "artschool"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
# Only `make docs-links` needs a network.
linkcheck_retries = 2
linkcheck_timeout = 20
linkcheck_workers = 4
