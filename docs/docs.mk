# The documentation as a site, in site/. Warnings are errors; links within the site are checked without a network.
.PHONY: docs docs-links docs-refresh

.venv/docs: .venv/installed docs/docs.mk
	$(BIN)/pip install --quiet -c constraints.txt --group docs
	touch $@

docs: .venv/docs
	$(BIN)/python -m docs.tools.build site

# The links that leave the site.
docs-links: .venv/docs
	$(BIN)/python -m docs.tools.build build/links --external

# Runs the commands of every page, and writes what they print now into the pages.
docs-refresh: .venv/installed
	$(BIN)/python -m docs.tools.refresh
