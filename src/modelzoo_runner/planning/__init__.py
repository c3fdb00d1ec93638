"""From a request to a plan that can be run on this machine."""
