# The documentation as a site, in site/. Warnings are errors; links within the site are checked without a network.
.PHONY: docs docs-links docs-refresh

docs: .venv/dev
	$(BIN)/python -m docs.tools.build site

# The links that leave the site.
docs-links: .venv/dev
	$(BIN)/python -m docs.tools.build build/links --external

# Runs the commands of every page, and writes what they print now into the pages.
docs-refresh: .venv/dev
	$(BIN)/python -m docs.tools.refresh
