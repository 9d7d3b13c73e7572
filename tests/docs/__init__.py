"""What the documents show is taken out of them and run, so that it can't drift from what is true."""
