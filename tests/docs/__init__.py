"""The commands and code in the documents are extracted and run, so that they stay true."""
