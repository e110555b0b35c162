"""Pages that are read in a browser, from the file system, without a server or a network."""
