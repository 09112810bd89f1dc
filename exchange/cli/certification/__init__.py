"""What `pointclear certify` runs, and the report of it."""
