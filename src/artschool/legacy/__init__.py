"""Converts files of DL-Art-School's ExtensibleTrainer ("the reference"), with one table of rules per section."""
