"""Files of DL-Art-School's ExtensibleTrainer ("the reference") in our language: one table for each section."""
