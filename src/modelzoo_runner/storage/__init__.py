"""Files: from a location to a local path that is whole and verified."""
