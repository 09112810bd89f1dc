"""What stands between a closed window and its payments: draft, clock, disputes, acceptance."""
