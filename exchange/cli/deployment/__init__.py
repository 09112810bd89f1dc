"""Data directories, servers and sandboxes: what makes a deployment and looks at it."""
