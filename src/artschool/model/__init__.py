"""The use of a trained run: its networks, and what its dataflows compute with them. No data set is built."""
